import { SiftError } from '../../errors.ts';
import { attentionScores, createRandom, siftedAttention } from '../../oracle/index.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import { destroyAll, type Owned } from '../gpu/allocate.ts';
import { fromFloat16, toFloat16 } from '../gpu/float16.ts';
import { download, uploadAll } from '../gpu/transfer.ts';
import type { AttentionShape } from '../shape.ts';
import { AttentionEncoder, type StepResources } from '../step/encoder.ts';
import { LayerState } from '../step/layer-state.ts';
import { type StepKind, stepKinds } from '../step/step-kinds.ts';
import type { KernelVariant } from '../text/variant.ts';
import { checkOutcome, learnedError, outputError, type TestOutcome, testCases } from './test-cases.ts';

/** One step on a paged cache that is held against the f64 oracle. */
export interface PagedCase {
  /** Seed of the random rows and page order. */
  seed: number;
  /** Keys. */
  length: number;
  kind: StepKind;
  /** The policy whose flags the step has. */
  policy: ThresholdPolicy;
  /** Entries of other sequences in the page table's buffer, before those of this one. Default 0. */
  tableOffset?: number;
}

/** What came of a {@link PagedCase}. */
export interface PagedOutcome extends TestOutcome {
  /** Largest absolute error of a head's base-2 log-sum-exp. */
  lseError: number;
  /** Whether every head kept and every group read as many rows as in the oracle; true for dense steps. */
  countsAgree: boolean;
}

/** Fills the rows of other sequences. If a kernel read one, it would show in any result. */
const FOREIGN = 60000;

/**
 * Runs one step over pages in random order, and compares it with the oracle.
 *
 * @param encoder with the paged layout
 * @param pageSize keys of a page
 */
export async function runPagedCase(
  encoder: AttentionEncoder,
  pageSize: number,
  c: PagedCase,
): Promise<PagedOutcome> {
  const { shape, resources } = encoder;
  const { device } = resources;
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const { length, tableOffset = 0 } = c;
  const random = createRandom(c.seed);
  const round = dtype === 'f16' ? (x: number) => fromFloat16(toFloat16(x)) : Math.fround;
  const draw = (count: number) => Float64Array.from({ length: count }, () => round(random.normal()));
  const q = draw(queryHeads * headSize);
  const [k, v] = [draw(kvHeads * length * headSize), draw(kvHeads * length * headSize)];
  const inputs = { q, k, v, batch: 1, queryHeads, kvHeads, headSize, capacity: length, lengths: length };

  const [test] = testCases([c.kind], c.policy, inputs, dtype, random);
  const { policy, plan, p } = test!;

  const used = Math.ceil(length / pageSize);
  const order = Array.from({ length: used + 3 }, (_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const pages = new Float64Array((used + 3) * 2 * kvHeads * pageSize * headSize).fill(FOREIGN);
  for (let half = 0; half < 2; half++) {
    for (let h = 0; h < kvHeads; h++) {
      for (let i = 0; i < length; i++) {
        const page = order[Math.floor(i / pageSize)]!;
        const to = (((page * 2 + half) * kvHeads + h) * pageSize + (i % pageSize)) * headSize;
        const from = (h * length + i) * headSize;
        pages.set((half === 0 ? k : v).subarray(from, from + headSize), to);
      }
    }
  }
  const scores = attentionScores(inputs);

  const table = [...new Array<number>(tableOffset).fill(used + 2), ...order.slice(0, used)];
  const buffers = await uploadAll(device, 'The test needs', {
    q: [q, dtype],
    pages: [pages, dtype],
    table: [table, 'i32'],
    zero: [[0], 'i32'],
    output: [new Float32Array(queryHeads * headSize), dtype],
    lse: [new Float32Array(queryHeads), 'f32'],
  });
  const owned: Owned = Object.values(buffers);
  try {
    const states = await LayerState.allocate(device, [shape], 1, policy);
    const [state] = states as [LayerState];
    owned.push(state);
    await encoder.reserve({ batch: 1, maxLength: length, policy, plan }, states);
    const step = encoder.prepare({
      batch: 1,
      lengths: { buffer: buffers.zero },
      lengthBias: length,
      maxLength: length,
      capacity: tableOffset,
      scale: 1 / Math.sqrt(headSize),
      policy,
      plan,
    });
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    const cache = { buffer: buffers.pages };
    const layer = {
      q: { buffer: buffers.q },
      keys: cache,
      values: cache,
      pageTable: { buffer: buffers.table },
    };
    encoder.attend(pass, step, layer, state);
    encoder.combine(pass, step, { buffer: buffers.output }, state, { buffer: buffers.lse });
    pass.end();
    device.queue.submit([commands.finish()]);
    const got = await download(device, buffers.output, queryHeads * headSize, dtype);
    const lse = await download(device, buffers.lse, queryHeads, 'f32');
    const { heads, groups } = await state.read();
    const want = siftedAttention(inputs, new Float64Array(queryHeads).fill(Math.log(p)), policy);
    const wantLse = (h: number) =>
      (scores.scores[h * length]! - scores.logProbabilities[h * length]!) / Math.LN2;
    return {
      error: outputError(got, want.output, shape),
      lseError: lse.reduce((worst, x, h) => Math.max(worst, Math.abs(x - wantLse(h))), 0),
      countsAgree:
        p === 0 ||
        (heads.every((head, h) => head.lastKept === want.keptRows[h]) &&
          groups.every((group, g) => group.lastUnion === want.groupRows[g])),
      learnedError: plan.fit ? learnedError(heads, inputs) : 0,
    };
  } finally {
    destroyAll(owned);
  }
}

/** Keys of the self-test: several splits and pages, of which the last are not full. */
const LENGTH = 301;

/** Absolute error that the base-2 log-sum-exp of a head may have. */
const LSE_BOUND = 1e-3;

/**
 * Runs every kind of step that a policy has on a paged cache, and holds it against the f64 oracle.
 *
 * @param pageSize keys of a page, as in the variant's layout
 * @returns the encoder that was tested
 * @throws {SiftError} `SELF_TEST_FAILED` if a kernel does not compile or computes something else; the message
 *   says what.
 */
export async function pagedSelfTest(
  resources: StepResources,
  shape: AttentionShape,
  pageSize: number,
  variant: KernelVariant,
  policy: ThresholdPolicy,
): Promise<AttentionEncoder> {
  const encoder = await AttentionEncoder.create(resources, shape, variant, policy);
  for (const kind of stepKinds(policy, shape, variant.subgroupSize > 0)) {
    const test = { seed: 20261124, length: LENGTH, kind, policy, tableOffset: 4 };
    const outcome = await runPagedCase(encoder, pageSize, test);
    checkOutcome(kind, outcome, shape.dtype);
    if (outcome.lseError < LSE_BOUND) continue;
    throw new SiftError(
      'SELF_TEST_FAILED',
      `The log-sum-exp of a ${kind} step of this device differs from the reference by ${outcome.lseError.toExponential(2)}; allowed: ${LSE_BOUND}.`,
    );
  }
  return encoder;
}
