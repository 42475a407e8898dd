import { createRandom } from '../../oracle/index.ts';
import { type StepPlan, type ThresholdPolicy, validatePolicy } from '../../policy/index.ts';
import { allocate, destroyAll, type Owned } from '../gpu/allocate.ts';
import { type Uploaded, uploadAll } from '../gpu/transfer.ts';
import { type AttentionShape, shapeConstants } from '../shape.ts';
import type { AttentionEncoder, PreparedStep } from '../step/encoder.ts';
import { type LayerFigures, LayerState } from '../step/layer-state.ts';
import { reserveShadows } from '../step/shadow.ts';

/** The share of V rows that a sifted step reads. */
const KEPT = 0.15;
/** The standard deviation of a head's scores. */
const SPREAD = 2;
/** The most bytes of K and V together. */
const MEMORY = 256 * 2 ** 20;
/**
 * The same as a share of the largest buffer that the device allows, which tells small devices from large
 * ones.
 */
const SHARE = 1 / 8;
/**
 * Rows that are drawn. The cache repeats them. It is a prime, so that pages and heads begin at different
 * rows.
 */
const DRAWN_ROWS = 509;
/**
 * The most sets of K and V. They are read in turn, so that short ones do not stay in the processor's cache.
 */
const MAX_SETS = 8;
/** Bytes of all sets together, unless one set is larger. */
const SET_MEMORY = 32 * 2 ** 20;

/** The most keys that can be measured within the memory set aside and the device's limits. */
export function memoryLength(device: GPUDevice, shape: AttentionShape): number {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  // K and V share a buffer where the cache is paged.
  const bytes = Math.min(MEMORY, SHARE * maxBufferSize, maxStorageBufferBindingSize);
  return Math.max(256, 2 ** Math.floor(Math.log2(bytes / (2 * keyBytes(shape)))));
}

/** Bytes of the K rows of one key, for all KV heads. */
function keyBytes(shape: AttentionShape): number {
  return shape.kvHeads * shape.headSize * shapeConstants(shape).elementBytes;
}

/**
 * A policy that runs the same kernels as the given one, and learns nothing.
 *
 * @param c the threshold is c / length; {@link CalibrationInputs} chooses it
 */
export function measuringPolicy(policy: ThresholdPolicy, c = 1): ThresholdPolicy {
  return validatePolicy({
    ...policy,
    name: 'calibration',
    target: { kind: 'uniform', c },
    axis: 'length',
    exponent: { kind: 'fixed', beta: -1 },
    warmup: 0,
    refitEvery: 0,
    guard: false,
  });
}

/** Queries, and rows for K and V. */
interface Rows {
  /** [queryHeads, headSize]. */
  q: Float32Array;
  /** [DRAWN_ROWS, headSize]. */
  rows: Float32Array;
  /** The threshold, in units of 1 / length, at which a group reads {@link KEPT} of its rows. */
  c: number;
}

/**
 * Draws queries and rows whose scores are normal. Every group has the same queries, so that one threshold
 * fits all.
 */
function drawRows(shape: AttentionShape): Rows {
  const { queryHeads, headSize } = shape;
  const { group } = shapeConstants(shape);
  const random = createRandom(20261124);
  const rows = random.normals(DRAWN_ROWS * headSize);
  const own = random.normals(group * headSize);
  const scale = 1 / Math.sqrt(headSize);
  const largest = new Float64Array(DRAWN_ROWS);
  for (let head = 0; head < group; head++) {
    const q = own.subarray(head * headSize, (head + 1) * headSize);
    const norm = Math.sqrt(q.reduce((sum, x) => sum + x * x, 0));
    for (let i = 0; i < headSize; i++) q[i]! *= (SPREAD * Math.sqrt(headSize)) / norm;
    const weights = Array.from({ length: DRAWN_ROWS }, (_, row) => {
      let score = 0;
      for (let i = 0; i < headSize; i++) score += q[i]! * rows[row * headSize + i]!;
      return Math.exp(score * scale);
    });
    const sum = weights.reduce((a, b) => a + b, 0);
    weights.forEach((weight, row) => {
      largest[row] = Math.max(largest[row]!, (weight / sum) * DRAWN_ROWS);
    });
  }
  const q = new Float32Array(queryHeads * headSize);
  for (let at = 0; at < q.length; at += own.length) q.set(own, at);
  return { q, rows, c: largest.sort()[Math.floor((1 - KEPT) * DRAWN_ROWS)]! };
}

/** The tensors of one layer's attention, with several sets of K and V and a layer state for each. */
export class CalibrationInputs {
  private constructor(
    private readonly encoder: AttentionEncoder,
    readonly policy: ThresholdPolicy,
    private readonly length: number,
    private readonly capacity: number,
    private readonly sets: readonly { keys: GPUBufferBinding; values: GPUBufferBinding; state: LayerState }[],
    private readonly common: Record<'q' | 'output' | 'lse' | 'sinks' | 'zero', { buffer: GPUBuffer }>,
    private readonly table: GPUBufferBinding[],
    private readonly owned: Owned,
  ) {}

  /**
   * Allocates the tensors and fills them.
   *
   * @param length keys
   * @param pageSize keys of a page, if the encoder's cache is paged
   * @param owned gets what is made, as it is made
   * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
   */
  static async create(
    encoder: AttentionEncoder,
    policy: ThresholdPolicy,
    length: number,
    pageSize: number | undefined,
    owned: Owned,
  ): Promise<CalibrationInputs> {
    const { shape, resources } = encoder;
    const { device } = resources;
    const { q, rows, c } = drawRows(shape);
    const keys = pageSize === undefined ? length : Math.ceil(length / pageSize) * pageSize;
    const setBytes = Math.ceil((keys * keyBytes(shape)) / 256) * 256;
    const sets = Math.max(1, Math.min(MAX_SETS, Math.floor(SET_MEMORY / (2 * setBytes))));
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    // In a paged cache K and V are one buffer.
    const sizes = pageSize === undefined ? [sets * setBytes, sets * setBytes] : [2 * sets * setBytes];
    const cache = await allocate(device, 'Calibration needs', 2 * sets * setBytes, () =>
      sizes.map((size) => device.createBuffer({ label: 'sift calibration', size, usage })),
    );
    owned.push(...cache);
    const level = measuringPolicy(policy, c);
    const states = await LayerState.allocate(device, new Array(sets).fill(shape), 1, level);
    owned.push(...states);
    const shadows = level.keys === 'shadow' ? states.map(({ shadow }) => shadow) : [];
    await reserveShadows(device, shadows, length);
    await fill(device, cache, rows, shape);
    const { queryHeads, dtype } = shape;
    const pages = pageSize === undefined ? 0 : keys / pageSize;
    const tables = Array.from({ length: pageSize === undefined ? 0 : sets }, (_, set): Uploaded => {
      return [Int32Array.from({ length: pages }, (_, i) => set * pages + i), 'i32'];
    });
    const made = await uploadAll(device, 'Calibration needs', {
      q: [q, dtype],
      output: [new Float32Array(q.length), dtype],
      lse: [new Float32Array(queryHeads), 'f32'],
      sinks: [new Float32Array(queryHeads), dtype],
      zero: [[0], 'i32'],
      ...(tables as unknown as Record<string, never>),
    });
    const bindings = Object.entries(made).map(([name, buffer]) => [name, { buffer }] as const);
    const common = Object.fromEntries(bindings) as Record<string, { buffer: GPUBuffer }>;
    owned.push(...Object.values(made));
    const range = (buffer: GPUBuffer, set: number): GPUBufferBinding =>
      pageSize === undefined ? { buffer, offset: set * setBytes, size: setBytes } : { buffer };
    return new CalibrationInputs(
      encoder,
      level,
      length,
      pageSize === undefined ? length : 0,
      Array.from({ length: sets }, (_, set) => ({
        keys: range(cache[0]!, set),
        values: range(cache.at(-1)!, set),
        state: states[set]!,
      })),
      common as CalibrationInputs['common'],
      tables.map((_, set) => common[set]!),
      owned,
    );
  }

  /** Sets of K and V. */
  get count(): number {
    return this.sets.length;
  }

  /**
   * Has the memory that a step needs.
   * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
   */
  reserve(plan: StepPlan): Promise<void> {
    const states = this.sets.map(({ state }) => state);
    const { encoder, length: maxLength, policy } = this;
    return encoder.reserve({ batch: 1, maxLength, policy, plan }, states);
  }

  /** Prepares a step on these inputs. */
  prepare(plan: StepPlan): PreparedStep {
    const { encoder, length, capacity, policy, common } = this;
    return encoder.prepare({
      batch: 1,
      lengths: common.zero,
      lengthBias: length,
      maxLength: length,
      capacity,
      scale: 1 / Math.sqrt(encoder.shape.headSize),
      policy,
      plan,
    });
  }

  /**
   * Encodes one layer's attention.
   * @param call the number of the call, which says whose turn it is among the sets of K and V
   */
  encode(pass: GPUComputePassEncoder, step: PreparedStep, call: number): void {
    const set = call % this.sets.length;
    const { keys, values, state } = this.sets[set]!;
    const { q, output, lse, sinks } = this.common;
    const table = this.table[set];
    this.encoder.attend(pass, step, { q, keys, values, sinks, ...(table && { pageTable: table }) }, state);
    this.encoder.combine(pass, step, output, state, table && lse);
  }

  /** The figures of the steps on the first set. */
  figures(): Promise<LayerFigures> {
    return this.sets[0]!.state.read();
  }

  destroy(): void {
    destroyAll(this.owned);
  }
}

/** Fills buffers with the rows, over and over. */
async function fill(
  device: GPUDevice,
  buffers: readonly GPUBuffer[],
  rows: Float32Array,
  shape: AttentionShape,
): Promise<void> {
  const repeated = new Float32Array(8 * rows.length);
  for (let at = 0; at < repeated.length; at += rows.length) repeated.set(rows, at);
  const { source } = await uploadAll(device, 'Calibration needs', { source: [repeated, shape.dtype] });
  const bytes = repeated.length * shapeConstants(shape).elementBytes;
  const commands = device.createCommandEncoder();
  for (const buffer of buffers) {
    for (let at = 0; at < buffer.size; at += bytes) {
      commands.copyBufferToBuffer(source, 0, buffer, at, Math.min(bytes, buffer.size - at));
    }
  }
  device.queue.submit([commands.finish()]);
  source.destroy();
}
