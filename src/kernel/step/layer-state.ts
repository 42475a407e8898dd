import { type ThresholdPolicy, usesMoments } from '../../policy/index.ts';
import { allocate, readBack } from '../gpu/allocate.ts';
import type { AttentionShape } from '../shape.ts';
import { momentVecs } from '../text/constants.ts';
import { GROUP_BYTES, HEAD_BYTES, HEAD_STATUS, headOffset } from '../text/schema.ts';
import { BindGroupCache } from './bind-groups.ts';
import { Shadow } from './shadow.ts';

/**
 * What a head's threshold comes from.
 *
 * - `learning`: the warm-up has not ended, or the policy learns nothing.
 * - `fitted`: the power law gives the threshold.
 * - `guarded`: the head lost more than half of its probability. It keeps every row until its next fit.
 * - `unfit`: the fit was not finite, or its threshold rose with x. The head keeps every row until its next
 *   fit.
 */
export type HeadStatus = (typeof HEAD_STATUS)[number];

/** What a query head has learned, and its running statistics. Read from `HeadState`. */
export interface HeadFigures {
  status: HeadStatus;
  /** The power law of the head: log threshold = logAlpha + beta log x. */
  logAlpha: number;
  beta: number;
  /** Coefficient of determination of the fit, on logarithms. */
  r2: number;
  /** Threshold of the last sifted step, as the natural logarithm of a probability. */
  logThreshold: number;
  /** Rows that the head itself kept at the last sifted step, out of `lastLength`. */
  lastKept: number;
  lastLength: number;
  /** Kept mass of the last sifted step: the probability of the rows that were read and served the head. */
  lastMass: number;
  /** Rows that the head itself kept in all sifted steps, out of `totalRows`. */
  keptRows: number;
  totalRows: number;
  /** Sum of the kept mass over all sifted steps. */
  massSum: number;
  siftedSteps: number;
}

/** How many V rows a group of query heads read, at the last sifted step and in all of them. */
export interface GroupFigures {
  lastUnion: number;
  unionRows: number;
}

/** The figures of one layer: `heads` is [batch * queryHeads], `groups` [batch * kvHeads]. */
export interface LayerFigures {
  heads: HeadFigures[];
  groups: GroupFigures[];
}

/** What the size of the state depends on. */
type Remembers = Pick<ThresholdPolicy, 'warmup' | 'dropped' | 'keys'>;

/** Bytes of the three buffers of a layer's state. */
function sizes(
  shape: AttentionShape,
  batch: number,
  policy: Remembers,
): Record<'heads' | 'groups' | 'window', number> {
  const rows = batch * shape.queryHeads;
  const groups = batch * shape.kvHeads;
  const shadowed = policy.keys === 'shadow';
  const moments = usesMoments(policy) || shadowed ? groups * momentVecs(shape) * 16 : 0;
  // Mean and deviation of each channel.
  const statistics = shadowed ? groups * 2 * shape.headSize * 4 : 0;
  return {
    heads: rows * HEAD_BYTES + moments + statistics,
    groups: groups * GROUP_BYTES,
    window: rows * Math.max(1, policy.warmup) * 8,
  };
}

/** The state of one layer of one KV cache on the GPU: fits, figures, moments and the window. */
export class LayerState {
  /** Fits and figures of the heads, then the moments and the statistics of the shadow if the policy uses them (wgsl/lib/layer-state.wgsl). */
  readonly heads: GPUBuffer;
  /** V rows that the groups read. */
  readonly groups: GPUBuffer;
  /** The thresholds that the next fit learns from. */
  readonly window: GPUBuffer;
  readonly layerBinding: GPUBufferBinding;
  readonly groupsBinding: GPUBufferBinding;
  readonly windowBinding: GPUBufferBinding;
  readonly bindGroups = new BindGroupCache();
  /** The shadow of K. It takes no memory before a step uses it. */
  readonly shadow: Shadow;
  /** Which V rows the last step read, if it noted that. It takes no memory before. */
  readBits: { buffer: GPUBuffer } | undefined;

  /**
   * Makes the states of several layers, each for `batch` sequences.
   * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
   */
  static allocate(
    device: GPUDevice,
    shapes: readonly AttentionShape[],
    batch: number,
    policy: Remembers,
  ): Promise<LayerState[]> {
    return allocate(device, 'Thresholds need', 0, () =>
      shapes.map((shape) => new LayerState(device, shape, batch, policy)),
    );
  }

  /** Makes a state without asking whether there is memory for it; see {@link allocate}. */
  constructor(
    private readonly device: GPUDevice,
    readonly shape: AttentionShape,
    readonly batch: number,
    policy: Remembers,
  ) {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const { heads, groups, window } = sizes(shape, batch, policy);
    this.shadow = new Shadow(device, shape, batch);
    this.heads = device.createBuffer({ label: 'sift heads', size: heads, usage });
    this.groups = device.createBuffer({ label: 'sift groups', size: groups, usage });
    this.window = device.createBuffer({ label: 'sift window', size: window, usage });
    this.layerBinding = { buffer: this.heads };
    this.groupsBinding = { buffer: this.groups };
    this.windowBinding = { buffer: this.window };
  }

  /** Encodes that everything is forgotten, because a new conversation begins. */
  reset(encoder: GPUCommandEncoder): void {
    for (const buffer of this.buffers()) encoder.clearBuffer(buffer);
    this.shadow.reset();
  }

  /**
   * Reads the figures back, as they are when all work submitted so far is done. It waits for the GPU, so that
   * the decode loop never calls it.
   * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
   */
  async read(): Promise<LayerFigures> {
    const { heads, groups } = this;
    const bytes = this.batch * this.shape.queryHeads * HEAD_BYTES;
    const data = await readBack(this.device, [
      { buffer: heads, bytes },
      { buffer: groups, bytes: groups.size },
    ]);
    return decodeFigures(new DataView(data), bytes);
  }

  destroy(): void {
    for (const buffer of this.buffers()) buffer.destroy();
    this.shadow.destroy();
    this.readBits?.buffer.destroy();
    this.readBits = undefined;
  }

  private buffers(): GPUBuffer[] {
    return [this.heads, this.groups, this.window];
  }
}

function decodeFigures(data: DataView, headBytes: number): LayerFigures {
  const f = (at: number) => data.getFloat32(at, true);
  const u = (at: number) => data.getUint32(at, true);
  const wide = (at: number) => u(at) + u(at + 4) * 2 ** 32;
  const heads: HeadFigures[] = [];
  for (let at = 0; at < headBytes; at += HEAD_BYTES) {
    heads.push({
      logAlpha: f(at + headOffset('log_alpha')),
      beta: f(at + headOffset('beta')),
      r2: f(at + headOffset('r2')),
      status: HEAD_STATUS[u(at + headOffset('status'))] ?? 'unfit',
      logThreshold: f(at + headOffset('log_eta')),
      lastKept: u(at + headOffset('kept_last')),
      lastLength: u(at + headOffset('length_last')),
      lastMass: f(at + headOffset('mass_last')),
      keptRows: wide(at + headOffset('kept_lo')),
      totalRows: wide(at + headOffset('rows_lo')),
      massSum: f(at + headOffset('mass_sum')),
      siftedSteps: u(at + headOffset('steps')),
    });
  }
  const groups: GroupFigures[] = [];
  for (let at = headBytes; at < data.byteLength; at += GROUP_BYTES) {
    groups.push({ unionRows: wide(at), lastUnion: u(at + 8) });
  }
  return { heads, groups };
}
