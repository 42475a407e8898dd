import type { ThresholdPolicy } from '../../policy/index.ts';
import { CacheState } from '../cache-state.ts';

export { CacheState };

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
