import type { AttentionShape } from '../../kernel/shape.ts';
import { LayerState } from '../../kernel/state.ts';
import type { ThresholdPolicy } from '../../tracker/index.ts';

/** What a decode step left to the runtime's kernel, and how often. */
export type ReasonCounts = Map<string, number>;

/**
 * Thresholds and figures that belong to one KV cache: one conversation. The runtime hands every step a new set of tensors, which
 * the registry follows from one to the next.
 */
export class CacheState {
  readonly layers = new Map<number, LayerState>();
  /** Decode steps since the prompt. */
  step = 0;
  /** Keys in the cache after the last run. */
  length = 0;
  siftedSteps = 0;
  denseSteps = 0;
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
    const state = new LayerState(this.device, shape, this.batch, this.policy.warmup);
    this.layers.set(index, state);
    return state;
  }

  count(reason: string): void {
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
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
    this.reasons.clear();
  }

  destroy(): void {
    for (const state of this.layers.values()) state.destroy();
    this.layers.clear();
  }
}

/** Conversations that keep their thresholds at the same time; the one unused for longest makes room for another. */
const MAX_CACHES = 8;

/** Finds the state of a KV cache by its tensors. */
export class CacheRegistry {
  /** By what stays the same from a run's output to the next run's input: a shared KV cache, or the buffer of layer 0's keys. */
  private readonly byOwner = new WeakMap<object, CacheState>();
  /** Least recently used first. */
  private live: CacheState[] = [];
  private readonly released = new WeakSet<CacheState>();
  /** Prompts seen since the plugin was enabled. */
  conversations = 0;

  constructor(
    private readonly device: GPUDevice,
    private readonly policy: ThresholdPolicy,
  ) {}

  /** The most recently used cache. */
  get current(): CacheState | undefined {
    return this.live.at(-1);
  }

  /** The state that follows a past of `length` rows. */
  find(owner: object | undefined, length: number, batch: number): CacheState | undefined {
    const state = owner && this.byOwner.get(owner);
    return state && state.length === length && state.batch === batch && this.live.includes(state)
      ? state
      : undefined;
  }

  /** A state for a new cache: one whose tensors were disposed of if there is one, so that memory does not grow. */
  create(batch: number): CacheState {
    this.conversations++;
    const reusable = this.live.find((state) => this.released.has(state) && state.batch === batch);
    if (reusable) {
      this.released.delete(reusable);
      reusable.restart();
      this.touch(reusable);
      return reusable;
    }
    const state = new CacheState(this.device, this.policy, batch);
    this.touch(state);
    while (this.live.length > MAX_CACHES) this.live.shift()?.destroy();
    return state;
  }

  /** Notes that a state now belongs to the tensors that a run put out. */
  follow(state: CacheState, owner: object, length: number): void {
    state.length = length;
    this.byOwner.set(owner, state);
    this.touch(state);
  }

  /** A run's tensors were disposed of; if a state still belongs to them, its conversation is over. */
  release(owner: object, length: number): void {
    const state = this.byOwner.get(owner);
    if (state && state.length === length) this.released.add(state);
  }

  destroy(): void {
    for (const state of this.live) state.destroy();
    this.live = [];
  }

  private touch(state: CacheState): void {
    this.live = [...this.live.filter((other) => other !== state), state];
  }
}
