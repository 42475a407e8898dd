import { invalidOption } from '../errors.ts';

/**
 * One decode step of grouped-query attention: one query token per sequence against its KV cache. All tensors are
 * row-major; any array of numbers will do.
 */
export interface AttentionInputs {
  /** Queries, [batch, queryHeads, headSize]. */
  readonly q: ArrayLike<number>;
  /** Key cache, [batch, kvHeads, capacity, headSize]. Rows at and beyond the length are never looked at. */
  readonly k: ArrayLike<number>;
  /** Value cache, shaped as `k`. */
  readonly v: ArrayLike<number>;
  readonly batch: number;
  readonly queryHeads: number;
  /** Query head h uses KV head floor(h / (queryHeads / kvHeads)). */
  readonly kvHeads: number;
  readonly headSize: number;
  /** Rows per KV head in `k` and `v`. */
  readonly capacity: number;
  /** Keys in the cache of each sequence (S), the newest token included: one number for all, or [batch]. */
  readonly lengths: number | ArrayLike<number>;
  /** Factor of q·k. Default 1/sqrt(headSize). */
  readonly scale?: number;
  /**
   * Attention sinks, [queryHeads]: a score for each head, not scaled, that takes part in the sum of the softmax and has no V row. All
   * sequences have the same. Default: none, as with -Infinity.
   */
  readonly sinks?: ArrayLike<number>;
}

/** {@link AttentionInputs} after the checks: lengths spelt out, defaults filled in. */
export interface ResolvedInputs extends AttentionInputs {
  readonly lengths: readonly number[];
  readonly scale: number;
  /** Query heads per KV head. */
  readonly groupSize: number;
}

/**
 * Checks the shapes and fills in the defaults.
 *
 * @throws SiftError INVALID_OPTION, naming the dimension or tensor that is wrong
 */
export function resolveInputs(inputs: AttentionInputs): ResolvedInputs {
  const { batch, queryHeads, kvHeads, headSize, capacity } = inputs;
  for (const name of ['batch', 'queryHeads', 'kvHeads', 'headSize', 'capacity'] as const) {
    const value = inputs[name];
    if (!Number.isInteger(value) || value < 1) throw invalidOption(name, value, 'an integer >= 1');
  }
  if (queryHeads % kvHeads !== 0) {
    throw invalidOption('queryHeads', queryHeads, `a multiple of kvHeads (${kvHeads})`);
  }
  const sizes = {
    q: batch * queryHeads * headSize,
    k: batch * kvHeads * capacity * headSize,
    v: batch * kvHeads * capacity * headSize,
  };
  for (const name of ['q', 'k', 'v'] as const) {
    if (inputs[name].length !== sizes[name]) {
      throw invalidOption(name, inputs[name], `${sizes[name]} numbers, the product of its shape`);
    }
  }
  const given = inputs.lengths;
  const lengths = typeof given === 'number' ? Array<number>(batch).fill(given) : Array.from(given);
  if (lengths.length !== batch) throw invalidOption('lengths', given, `${batch} numbers, one per sequence`);
  for (const length of lengths) {
    if (!Number.isInteger(length) || length < 1 || length > capacity) {
      throw invalidOption('lengths', length, `integers in 1..${capacity} (capacity)`);
    }
  }
  if (inputs.sinks && inputs.sinks.length !== queryHeads) {
    throw invalidOption('sinks', inputs.sinks, `${queryHeads} numbers, one per query head`);
  }
  const scale = inputs.scale ?? 1 / Math.sqrt(headSize);
  if (!Number.isFinite(scale)) throw invalidOption('scale', scale, 'a finite number');
  return { ...inputs, lengths, scale, groupSize: queryHeads / kvHeads };
}
