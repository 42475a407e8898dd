// Layers with attention sinks, and keys that begin at a later row than the first, as in a sliding window: each kind of step against the
// f64 reference.
import { beforeAll, describe, expect, test } from 'vitest';
import { createRandom, denseAttention } from '../../oracle/index.ts';
import { learnedPolicy, presetPolicy, uniformPolicy, validatePolicy } from '../../policy/index.ts';
import { testDevice } from '../../testing/device.ts';
import { download, upload } from '../gpu/transfer.ts';
import type { AttentionShape, DType } from '../shape.ts';
import { createSiftAttention } from '../sift-attention.ts';
import { AttentionEncoder, createStepResources, destroyStepResources } from '../step/encoder.ts';
import { stepKinds } from '../step/step-kinds.ts';
import { runStepCases } from './step-cases.ts';
import { ERROR_BOUND, outputError, THRESHOLD_BOUND } from './test-cases.ts';
import { canUseSubgroups, fastestVariant } from './variants.ts';

const SIFTING = presetPolicy('balanced');
const LEARNING = validatePolicy({ ...learnedPolicy({ warmup: 2 }), refitEvery: 8 });

/** Storage words of f32 and of both forms of f16; more heads than a word has elements, and fewer. */
const SHAPES: [dtype: DType, queryHeads: number, kvHeads: number, headSize: number, subgroups: boolean][] = [
  ['f32', 6, 2, 32, true],
  ['f16', 16, 2, 64, true],
  ['f16', 6, 3, 20, true],
  ['f32', 5, 1, 64, false],
  ['f16', 10, 2, 32, false],
];

describe('attention sinks and windows', () => {
  let device: GPUDevice;
  beforeAll(async () => {
    device = await testDevice();
  });

  for (const sinks of [true, false]) {
    for (const [dtype, queryHeads, kvHeads, headSize, subgroups] of SHAPES) {
      const name = `${queryHeads}/${kvHeads} heads of ${headSize}, ${dtype}, ${subgroups ? 'subgroups' : 'portable'}`;
      test(`${name}: ${sinks ? 'sinks, with and without' : 'no sinks,'} rows before the keys`, async ({
        skip,
      }) => {
        if (subgroups && !canUseSubgroups(device)) skip();
        const shape: AttentionShape = { queryHeads, kvHeads, headSize, dtype, ...(sinks && { sinks }) };
        const resources = await createStepResources(device);
        const variant = fastestVariant(device, shape, { subgroups });
        const encoder = await AttentionEncoder.create(resources, shape, variant, SIFTING, LEARNING);
        const wrong: string[] = [];
        const seen = new Set<string>();
        for (const policy of [SIFTING, LEARNING]) {
          const kinds = stepKinds(policy, shape, subgroups);
          for (const firstKey of sinks ? [0, 37] : [37]) {
            for (const lengths of [[301, 160], [5]]) {
              const given = { seed: 7 + firstKey, kinds, policy, lengths, firstKey };
              for await (const { kind, error, learnedError, countsAgree } of runStepCases(encoder, given)) {
                seen.add(kind);
                if (error < ERROR_BOUND[dtype] && learnedError < THRESHOLD_BOUND && countsAgree) continue;
                wrong.push(
                  `${kind} from ${firstKey}, ${lengths}: error ${error}, learned ${learnedError}, counts agree: ${countsAgree}`,
                );
              }
            }
          }
        }
        destroyStepResources(resources);
        expect(wrong).toEqual([]);
        expect([...seen].toSorted()).toEqual(
          ['dense', 'learn', 'exact', 'exactLearn', ...(subgroups ? ['sift'] : [])].toSorted(),
        );
      });
    }
  }

  test('the moments are measured again when a window has moved on by an eighth', async () => {
    const [queryHeads, kvHeads, headSize, window, capacity] = [2, 1, 32, 32, 260];
    // Scores are flat, so that only the newest row is kept. V rows are 1 up to the one that is the newest of the first step, then 0.
    const rows = Float32Array.from({ length: capacity * headSize }, (_, i) => Number(i < 232 * headSize));
    const shape: AttentionShape = { queryHeads, kvHeads, headSize, dtype: 'f32' };
    const attention = await createSiftAttention(device, shape, {
      policy: uniformPolicy({ c: 2 }),
      selfTest: false,
    });
    const zeros = (count: number) => ({ buffer: upload(device, new Float32Array(count), 'f32') });
    const tensors = {
      q: zeros(queryHeads * headSize),
      keys: zeros(rows.length),
      values: { buffer: upload(device, rows, 'f32') },
      output: zeros(queryHeads * headSize),
    };
    for (let firstKey = 201; firstKey <= 213; firstKey++) {
      const commands = device.createCommandEncoder();
      const pass = commands.beginComputePass();
      attention.beginStep({ length: window, firstKey, capacity }).encode(pass, 0, tensors);
      pass.end();
      device.queue.submit([commands.finish()]);
      const [first] = await download(device, tensors.output.buffer, queryHeads * headSize, 'f32');
      // Measured at the first step, and then when the window begins at a multiple of four rows.
      const measured = Math.max(201, firstKey - (firstKey % 4));
      const mean = (232 - measured) / window;
      expect([firstKey, first]).toEqual([firstKey, expect.closeTo(mean * (1 - 1 / window), 5)]);
    }
    attention.destroy();
    for (const { buffer } of Object.values(tensors)) buffer.destroy();
  });

  test('createSiftAttention takes both', async () => {
    const shape: AttentionShape = { queryHeads: 6, kvHeads: 2, headSize: 32, dtype: 'f32', sinks: true };
    const { queryHeads, kvHeads, headSize } = shape;
    const [length, firstKey] = [90, 20];
    const capacity = firstKey + length;
    const random = createRandom(11);
    const q = random.normals(queryHeads * headSize);
    const k = random.normals(kvHeads * capacity * headSize);
    const v = random.normals(kvHeads * capacity * headSize);
    const sinks = [0, 2, 4, 5, 6, 8];
    const bind = (values: ArrayLike<number>) => ({ buffer: upload(device, values, 'f32') });
    const output = bind(new Float32Array(q.length));
    const tensors = { q: bind(q), keys: bind(k), values: bind(v), output };
    const sunk = { ...tensors, sinks: bind(sinks) };
    const attention = await createSiftAttention(device, shape, { policy: presetPolicy('exact') });
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    const step = attention.beginStep({ length, firstKey });
    expect(() => step.encode(pass, 0, tensors)).toThrow('the shape has sinks');
    step.encode(pass, 0, sunk);
    pass.end();
    device.queue.submit([commands.finish()]);
    const got = await download(device, output.buffer, q.length, 'f32');
    expect(() => attention.beginStep({ length, firstKey, capacity: capacity - 1 })).toThrow('`capacity`');
    expect(() => attention.beginStep({ length, firstKey: -1 })).toThrow('`firstKey`');
    attention.destroy();
    for (const { buffer } of Object.values(sunk)) buffer.destroy();

    const window = (rows: Float32Array) =>
      Float32Array.from({ length: kvHeads * length * headSize }, (_, i) => {
        const head = Math.floor(i / (length * headSize));
        return rows[i + (head + 1) * firstKey * headSize]!;
      });
    const want = denseAttention({
      ...{ q, k: window(k), v: window(v), batch: 1, queryHeads, kvHeads, headSize },
      capacity: length,
      lengths: length,
      sinks,
    });
    expect(outputError(got, want.output, shape)).toBeLessThan(ERROR_BOUND.f32);
  });
});
