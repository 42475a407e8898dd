import type { AttentionShape } from '../kernel/shape.ts';
import { LayerState } from '../kernel/step/layer-state.ts';
import type { ThresholdPolicy } from '../policy/index.ts';

/** What a decode step left to the runtime's kernel, and how often. */
export type ReasonCounts = Map<string, number>;

/**
 * Thresholds and figures that belong to one KV cache: one conversation.
 */
export class CacheState {
  readonly layers = new Map<number, LayerState>();
  /** Decode steps since the prompt. */
  step = 0;
  /** Keys in the cache after the last run. */
  length = 0;
  siftedSteps = 0;
  denseSteps = 0;
  /** Dense steps that were shorter than the crossover; and by layer, since shapes may differ. */
  shortSteps = 0;
  readonly shortByLayer = new Map<number, number>();
  /** Rows of K (and of V) that dense steps through our kernel read, over layers, KV heads and batch. */
  denseRows = 0;
  readonly reasons: ReasonCounts = new Map();

  constructor(
    private readonly device: GPUDevice,
    readonly policy: ThresholdPolicy,
    readonly batch: number,
  ) {}

  layer(index: number, shape: AttentionShape): LayerState {
    const known = this.layers.get(index);
    if (known) return known;
    const state = new LayerState(this.device, shape, this.batch, this.policy);
    this.layers.set(index, state);
    return state;
  }

  count(reason: string): void {
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
  }

  /** Notes the layers of a step that read every row because it was short. */
  countShort(layers: Iterable<number>): void {
    for (const layer of layers) this.shortByLayer.set(layer, (this.shortByLayer.get(layer) ?? 0) + 1);
  }

  /** Forgets thresholds and figures: a new prompt. */
  restart(): void {
    if (this.step > 0 && this.layers.size > 0) {
      const encoder = this.device.createCommandEncoder();
      for (const state of this.layers.values()) state.reset(encoder);
      this.device.queue.submit([encoder.finish()]);
    }
    this.step = 0;
    this.siftedSteps = 0;
    this.denseSteps = 0;
    this.denseRows = 0;
    this.shortSteps = 0;
    this.shortByLayer.clear();
    this.reasons.clear();
  }

  destroy(): void {
    for (const state of this.layers.values()) state.destroy();
    this.layers.clear();
  }
}
