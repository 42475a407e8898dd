import { invalidOption } from '../errors.ts';
import type { ThresholdPolicy } from '../policy/index.ts';
import { ThresholdTracker } from './threshold-tracker.ts';

/** The heads that share one KV cache. */
export interface SessionShape {
  readonly layers: number;
  readonly batch: number;
  readonly queryHeads: number;
}

/** Where one forward pass stands in its request. */
export interface Position {
  /** True for one token after the prompt; false for the prompt and every part of it: run it dense. */
  readonly decode: boolean;
  /** Decode step g, 1 for the first token after the prompt; 0 while `decode` is false. */
  readonly step: number;
  /** Keys in the cache when this pass attends (S): past and new tokens. */
  readonly length: number;
}

/**
 * The thresholds of all layers, sequences and query heads that belong to one KV cache. Two conversations are two
 * caches, hence two sessions. Call {@link begin} once per forward pass, then per layer ask for
 * {@link logThresholds} and report to {@link observe} and {@link observeMass}.
 *
 * Thresholds are learned anew for every request (arXiv 2506.05300: one fit per request): an empty past, another
 * prompt on the same cache, or a past that does not continue the last pass (a cache that was cut or swapped)
 * starts over at decode step 0.
 */
export class SessionTracker {
  readonly policy: ThresholdPolicy;
  readonly shape: SessionShape;
  private readonly trackers: readonly ThresholdTracker[];
  private position: Position = { decode: false, step: 0, length: 0 };

  /**
   * @param policy - from a policy constructor or `validatePolicy`
   * @param shape - each an integer >= 1
   * @throws SiftError INVALID_OPTION
   */
  constructor(policy: ThresholdPolicy, shape: SessionShape) {
    for (const name of ['layers', 'batch', 'queryHeads'] as const) {
      const value = shape[name];
      if (!Number.isInteger(value) || value < 1) throw invalidOption(name, value, 'an integer >= 1');
    }
    this.policy = policy;
    this.shape = { ...shape };
    const heads = shape.layers * shape.batch * shape.queryHeads;
    this.trackers = Array.from({ length: heads }, () => new ThresholdTracker(policy));
  }

  /** The current forward pass, as {@link begin} returned it. */
  get current(): Position {
    return this.position;
  }

  /** Forgets everything, as a new KV cache does. */
  reset(): void {
    this.restart();
    this.position = { decode: false, step: 0, length: 0 };
  }

  /**
   * Begins a forward pass.
   *
   * One new token on a past that is not empty is a decode step; everything else is prompt. The numbers alone
   * cannot tell a last chunk of one prompt token from a decode step: say `prefill: true` for it.
   *
   * @param newTokens - tokens per sequence in this pass, an integer >= 1
   * @param pastLength - keys in the cache before it, an integer >= 0
   * @param options - `prefill`: this pass belongs to a prompt, however short it is
   * @throws SiftError INVALID_OPTION
   */
  begin(newTokens: number, pastLength: number, options: { prefill?: boolean } = {}): Position {
    if (!Number.isInteger(newTokens) || newTokens < 1) {
      throw invalidOption('newTokens', newTokens, 'an integer >= 1');
    }
    if (!Number.isInteger(pastLength) || pastLength < 0) {
      throw invalidOption('pastLength', pastLength, 'an integer >= 0');
    }
    const decode = newTokens === 1 && pastLength > 0 && options.prefill !== true;
    const continues = pastLength === this.position.length;
    if (!decode || !continues) this.restart();
    const step = decode ? this.position.step + 1 : 0;
    this.position = { decode, step, length: pastLength + newTokens };
    return this.position;
  }

  /**
   * The tracker of one head, for its fit and guard.
   *
   * @throws SiftError INVALID_OPTION if there is no such head
   */
  tracker(layer: number, batch: number, queryHead: number): ThresholdTracker {
    const { queryHeads } = this.shape;
    if (!Number.isInteger(batch) || batch < 0 || batch >= this.shape.batch) {
      throw invalidOption('batch', batch, `an integer in 0..${this.shape.batch - 1}`);
    }
    if (!Number.isInteger(queryHead) || queryHead < 0 || queryHead >= queryHeads) {
      throw invalidOption('queryHead', queryHead, `an integer in 0..${queryHeads - 1}`);
    }
    return this.layer(layer)[batch * queryHeads + queryHead]!;
  }

  /** Whether any head wants an observation of the current pass: whether exact thresholds must be computed. */
  get wantsObservation(): boolean {
    const { decode, step } = this.position;
    return decode && this.trackers.some((tracker) => tracker.wantsObservation(step));
  }

  /**
   * The log-thresholds of one layer for the current pass.
   *
   * @returns natural logs, [batch, queryHeads]; all -Infinity (keep everything) while the prompt runs
   * @throws SiftError INVALID_OPTION if there is no such layer
   */
  logThresholds(layer: number): Float64Array {
    const { decode, step, length } = this.position;
    const trackers = this.layer(layer);
    return Float64Array.from(trackers, (tracker) =>
      decode ? tracker.logThreshold(step, length) : -Infinity,
    );
  }

  /**
   * Records the exact thresholds of one layer at the current pass; ignored while the prompt runs.
   *
   * @param logThresholds - natural logs, [batch, queryHeads]
   * @throws SiftError INVALID_OPTION for a wrong layer or length
   */
  observe(layer: number, logThresholds: ArrayLike<number>): void {
    const { decode, step, length } = this.position;
    const trackers = this.layer(layer, 'logThresholds', logThresholds);
    if (!decode) return;
    trackers.forEach((tracker, i) => {
      tracker.observe(step, length, logThresholds[i]!);
    });
  }

  /**
   * Tells the guards how much probability each head of one layer kept at a sifted pass.
   *
   * @param masses - probability of the rows that took part, [batch, queryHeads]
   * @throws SiftError INVALID_OPTION for a wrong layer or length
   */
  observeMass(layer: number, masses: ArrayLike<number>): void {
    const trackers = this.layer(layer, 'masses', masses);
    if (this.position.step <= this.policy.warmup) return;
    trackers.forEach((tracker, i) => {
      tracker.observeMass(masses[i]!);
    });
  }

  private restart(): void {
    for (const tracker of this.trackers) tracker.reset();
    this.position = { ...this.position, step: 0 };
  }

  /** The trackers of one layer, [batch, queryHeads], after a check of what is given for each of them. */
  private layer(layer: number, name = '', values?: ArrayLike<number>): readonly ThresholdTracker[] {
    const { layers, batch, queryHeads } = this.shape;
    const size = batch * queryHeads;
    if (!Number.isInteger(layer) || layer < 0 || layer >= layers) {
      throw invalidOption('layer', layer, `an integer in 0..${layers - 1}`);
    }
    if (values && values.length !== size) {
      throw invalidOption(name, values, `${size} numbers, [batch, queryHeads]`);
    }
    return this.trackers.slice(layer * size, (layer + 1) * size);
  }
}
