import type { ThresholdPolicy } from '../../policy/index.ts';
import { Conversation, type RoutedLayers } from '../shared/conversation.ts';

/** Conversations that keep their thresholds at the same time; the one unused for longest makes room for another. */
const MAX_CONVERSATIONS = 8;

/** Finds the conversation of a KV cache by its tensors. */
export class Conversations {
  /** By what stays the same from a run's output to the next run's input: a shared KV cache, or the buffer of layer 0's keys. */
  private readonly byOwner = new WeakMap<object, Conversation>();
  /** Least recently used first. */
  private live: Conversation[] = [];
  private readonly released = new WeakSet<Conversation>();
  /** Prompts seen since the plugin was enabled. */
  count = 0;

  constructor(
    private readonly device: GPUDevice,
    private readonly policy: ThresholdPolicy,
    private readonly routed: RoutedLayers,
  ) {}

  /** The one used last. */
  get current(): Conversation | undefined {
    return this.live.at(-1);
  }

  /** The state that follows a past of `length` rows. */
  find(owner: object | undefined, length: number, batch: number): Conversation | undefined {
    const state = owner && this.byOwner.get(owner);
    return state && state.length === length && state.batch === batch && this.live.includes(state)
      ? state
      : undefined;
  }

  /** A state for a new cache: one whose tensors were disposed of if there is one, so that memory does not grow. */
  create(batch: number): Conversation {
    this.count++;
    const reusable = this.live.find((state) => this.released.has(state) && state.batch === batch);
    if (reusable) {
      this.released.delete(reusable);
      reusable.restart();
      this.touch(reusable);
      return reusable;
    }
    const state = new Conversation(this.device, this.policy, batch, this.routed);
    this.touch(state);
    while (this.live.length > MAX_CONVERSATIONS) this.live.shift()?.destroy();
    return state;
  }

  /** Notes that a state now belongs to the tensors that a run put out. */
  follow(state: Conversation, owner: object, length: number): void {
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

  private touch(state: Conversation): void {
    this.live = [...this.live.filter((other) => other !== state), state];
  }
}
