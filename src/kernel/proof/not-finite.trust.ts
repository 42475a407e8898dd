// Numbers that are none in q, K and V: ours has NaN where the attention over all rows has it, and other heads are not touched.
import { beforeAll, describe, expect, test } from 'vitest';
import { createRandom, denseAttention } from '../../oracle/index.ts';
import {
  planStep,
  presetPolicy,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from '../../policy/index.ts';
import { testDevice } from '../../testing/device.ts';
import { download, upload } from '../gpu/transfer.ts';
import { AttentionEncoder, createStepResources } from '../step/encoder.ts';
import { LayerState } from '../step/layer-state.ts';
import type { StepKind } from '../step/step-kinds.ts';
import { fastestVariant } from './variants.ts';

const SHAPE = { queryHeads: 4, kvHeads: 2, headSize: 16, dtype: 'f32' } as const;
const { queryHeads, kvHeads, headSize } = SHAPE;
const LENGTH = 150;
/** Keeps all rows that could change the output. */
const target = { kind: 'uniform', c: 1e-4 } as const;
const POLICIES: Partial<Record<StepKind, ThresholdPolicy>> = {
  dense: presetPolicy('exact'),
  sift: { ...presetPolicy('balanced'), target },
  shadow: { ...presetPolicy('balanced', 'shadow'), target },
  exact: validatePolicy({ ...uniformPolicy({ c: 1e-4 }), normaliser: 'exact' }),
};

let device: GPUDevice;
let encoder: AttentionEncoder;
beforeAll(async () => {
  device = await testDevice();
  const resources = await createStepResources(device);
  const variant = fastestVariant(device, SHAPE);
  encoder = await AttentionEncoder.create(resources, SHAPE, variant, ...Object.values(POLICIES));
}, 1_200_000);

type Rows = Record<'q' | 'k' | 'v', Float32Array>;

function drawRows(): Rows {
  const random = createRandom(3);
  const rows = kvHeads * LENGTH * headSize;
  return { q: random.normals(queryHeads * headSize), k: random.normals(rows), v: random.normals(rows) };
}

/** Runs one step of a policy. */
async function attend(policy: ThresholdPolicy, { q, k, v }: Rows): Promise<Float32Array> {
  const count = queryHeads * headSize;
  const [query, keys, values, output] = [q, k, v, new Float32Array(count)].map((list) => ({
    buffer: upload(device, list, 'f32'),
  }));
  const plan = planStep(policy, 1);
  const [state] = await LayerState.allocate(device, [SHAPE], 1, policy);
  const step = { batch: 1, maxLength: LENGTH, policy, plan };
  await encoder.reserve(step, [state!]);
  const lengths = { buffer: encoder.resources.zeros };
  const prepared = encoder.prepare({ ...step, lengths, lengthBias: LENGTH, capacity: LENGTH, scale: 0.25 });
  const commands = device.createCommandEncoder();
  const pass = commands.beginComputePass();
  encoder.attend(pass, prepared, { q: query!, keys: keys!, values: values! }, state!);
  encoder.combine(pass, prepared, output!, state!);
  pass.end();
  device.queue.submit([commands.finish()]);
  const got = await download(device, output!.buffer, count, 'f32');
  for (const each of [query!, keys!, values!, output!]) each.buffer.destroy();
  state!.destroy();
  return got;
}

/** For each head, how many of its elements are not finite. */
const notFinite = (output: ArrayLike<number>): number[] =>
  Array.from({ length: queryHeads }, (_, head) =>
    Array.from({ length: headSize }, (_, i) => output[head * headSize + i]!).reduce(
      (sum, x) => sum + Number(!Number.isFinite(x)),
      0,
    ),
  );

const expected = ({ q, k, v }: Rows): Float64Array =>
  denseAttention({ q, k, v, batch: 1, queryHeads, kvHeads, headSize, capacity: LENGTH, lengths: LENGTH })
    .output;

/** Among the oldest edge keys, in the middle of the shadow, among the newest, and the last. */
const PLACES = [0, 75, 140, 149];

describe.each(Object.entries(POLICIES))('%s', (_, policy) => {
  test.each(PLACES)('NaN in K and in V at key %i: as over all rows', async (place) => {
    for (const name of ['k', 'v'] as const) {
      const rows = drawRows();
      rows[name][place * headSize + 3] = Number.NaN;
      expect([name, notFinite(await attend(policy, rows))]).toEqual([name, notFinite(expected(rows))]);
    }
  });

  test.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    '%f in V: as over all rows',
    async (value) => {
      for (const place of PLACES) {
        const rows = drawRows();
        rows.v[place * headSize + 3] = value;
        expect(notFinite(await attend(policy, rows))).toEqual([1, 1, 0, 0]);
      }
    },
  );

  test('a query that is none: only its head', async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const rows = drawRows();
      rows.q[3] = value;
      expect(notFinite(await attend(policy, rows))).toEqual([headSize, 0, 0, 0]);
    }
  });

  // Over all rows a head has NaN if its query makes the infinity a positive score, and is as if the key were not there otherwise. Sifted,
  // all heads of the group have NaN, because the moments of K are not finite (docs/trust-faults.md).
  test('an infinity in K: no head is finite that would not be, and the other group is not touched', async () => {
    for (const value of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (const place of PLACES.slice(1)) {
        const rows = drawRows();
        rows.k[place * headSize + 3] = value;
        const [got, want] = [notFinite(await attend(policy, rows)), notFinite(expected(rows))];
        expect(got.slice(2)).toEqual([0, 0]);
        want.forEach((count, head) => {
          expect(got[head]).toBeGreaterThanOrEqual(count);
        });
        if (policy === POLICIES.dense) expect(got).toEqual(want);
      }
    }
  });

  test('the largest numbers stay finite', async () => {
    for (const value of [1e38, -1e38]) {
      const rows = drawRows();
      rows.k[75 * headSize + 3] = value;
      expect(notFinite(await attend(policy, rows))).toEqual([0, 0, 0, 0]);
    }
  });
});
