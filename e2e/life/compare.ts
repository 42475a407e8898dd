import type { Outcome } from './action.ts';

/**
 * How far the logits of a step may be from the expected ones, relative to the largest: what f32 sums in another order come to over a few
 * layers. A key that is missing, or one too many, is a hundred times more.
 */
const TOLERANCE = 1e-4;

/** How an outcome compares with the expected one. */
export interface Comparison {
  /** What is wrong, or null. */
  readonly fault: string | null;
  /** Steps whose logits were compared. */
  readonly steps: number;
  /** The step with another token, though its logits are within the tolerance: two tokens were as likely as each other. */
  readonly tie: number | null;
  /** The largest relative distance of the logits. */
  readonly distance: number;
}

/**
 * Compares an outcome with what is expected. Tokens must be equal, and the logits of every step within the tolerance. Where the logits
 * are and a token is not, it was a tie, or as close to one as f32 can tell: what follows is not comparable.
 */
export function compareOutcomes(got: Outcome, expected: Outcome): Comparison {
  const result = { steps: 0, tie: null as number | null, distance: 0 };
  const fault = (text: string | null): Comparison => ({ fault: text, ...result });
  if (got.interjected !== null) return fault(`an interjection failed: ${got.interjected}`);
  if (got.error !== expected.error)
    return fault(
      `the call ended with ${got.error ?? 'no error'}, and ${expected.error ?? 'none'} was expected`,
    );
  const before = (got.tokens[0]?.length ?? 0) - got.logits.length;
  for (const [step, rows] of got.logits.entries()) {
    const expectedRows = expected.logits[step];
    if (rows.length !== expectedRows?.length)
      return fault(`step ${step} has ${rows.length} rows instead of ${expectedRows?.length}`);
    for (const [row, logits] of rows.entries()) {
      const distance = relativeDistance(logits, expectedRows[row]!);
      result.distance = Math.max(result.distance, distance);
      // Not a number is no distance at all.
      if (!(distance <= TOLERANCE))
        return fault(
          `the logits of step ${step}, row ${row}, are ${distance.toExponential(2)} from the expected ones`,
        );
    }
    result.steps++;
    const differs = got.tokens.some(
      (tokens, row) => tokens[before + step] !== expected.tokens[row]?.[before + step],
    );
    if (differs) return { fault: null, ...result, tie: step };
  }
  if (got.logits.length !== expected.logits.length)
    return fault(`${got.logits.length} steps instead of ${expected.logits.length}`);
  if (JSON.stringify(got.tokens) !== JSON.stringify(expected.tokens))
    return fault(`tokens ${JSON.stringify(got.tokens)} instead of ${JSON.stringify(expected.tokens)}`);
  return fault(null);
}

function relativeDistance(a: readonly number[], b: readonly number[]): number {
  const largest = b.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  // `Math.max` hands on what is not a number.
  const distance = a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0);
  return a.length === b.length ? distance / largest : Number.NaN;
}
