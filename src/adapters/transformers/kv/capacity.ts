/** Smallest capacity, and the unit that capacities are rounded up to. */
const UNIT = 64;
/** A bound is believed if it asks for no more than this factor of what is needed now, and these rows more. */
const BELIEVED_FACTOR = 2;
const BELIEVED_EXTRA = 4096;

/** Rows as capacities have them. */
export const roundUp = (rows: number): number => Math.ceil(rows / UNIT) * UNIT;

/**
 * Rows to allocate for a KV cache that must hold `needed` rows now.
 *
 * The generation's own bound (prompt and `max_new_tokens`) is taken where it is known and of the same order; a bound that is only
 * a safety limit would waste memory, so that otherwise the capacity is the next power of two, and doubles when it is reached.
 *
 * @param needed rows after the run that is about to start
 * @param bound rows that the generation reaches at most, if known
 * @param limit rows that fit the device's buffer limits
 * @returns undefined if `needed` is above the limit
 */
export function planCapacity(needed: number, bound: number | undefined, limit: number): number | undefined {
  if (needed > limit) return undefined;
  const believed =
    bound !== undefined && bound >= needed && bound <= BELIEVED_FACTOR * needed + BELIEVED_EXTRA;
  const wanted = believed ? roundUp(bound) : Math.max(4 * UNIT, 2 ** Math.ceil(Math.log2(needed + 1)));
  return Math.min(wanted, limit);
}

interface GenerationArguments {
  inputs?: { dims: readonly number[] };
  input_ids?: { dims: readonly number[] };
  max_new_tokens?: number | null;
  max_length?: number | null;
  generation_config?: { max_new_tokens?: number | null; max_length?: number | null } | null;
}

/** Rows that a call of `generate` reaches at most, if its arguments say so. */
export function generationBound(
  model: { generation_config?: GenerationArguments['generation_config'] },
  given: unknown,
): number | undefined {
  const call = (given ?? {}) as GenerationArguments;
  const config = { ...model.generation_config, ...call.generation_config };
  const newTokens = call.max_new_tokens ?? config.max_new_tokens;
  const prompt = (call.inputs ?? call.input_ids)?.dims.at(-1);
  if (typeof newTokens === 'number') return prompt === undefined ? undefined : prompt + newTokens;
  return call.max_length ?? config.max_length ?? undefined;
}
