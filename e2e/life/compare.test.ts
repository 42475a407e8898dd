import { describe, expect, test } from 'vitest';
import type { Outcome } from './action.ts';
import { compareOutcomes } from './compare.ts';

/** Two steps after a prompt of one token, 5: the logits say 0 and 1. */
const STOCK: Outcome = {
  tokens: [[5, 0, 1]],
  logits: [[[2, 1, -4]], [[0, 4, 3.9999]]],
  error: null,
  interjected: null,
};

describe('compareOutcomes', () => {
  test('equal outcomes, and such as differ by rounding, have no fault', () => {
    expect(compareOutcomes(STOCK, STOCK)).toEqual({ fault: null, steps: 2, tie: null, distance: 0 });
    const rounded = { ...STOCK, logits: [[[2.0001, 1, -4]], STOCK.logits[1]!] };
    const { fault, distance } = compareOutcomes(rounded, STOCK);
    expect(fault).toBeNull();
    expect(distance).toBeCloseTo(0.0001 / 4);
  });

  test('another token is a tie where the logits are the same, and what follows does not count', () => {
    const tied = { ...STOCK, tokens: [[5, 0, 2]], logits: [STOCK.logits[0]!, [[0, 4, 4.0001]]] };
    expect(compareOutcomes(tied, STOCK)).toMatchObject({ fault: null, tie: 1, steps: 2 });
    const early = { ...STOCK, tokens: [[5, 2, 2]], logits: [STOCK.logits[0]!, [[9, 9, 9]]] };
    expect(compareOutcomes(early, STOCK)).toMatchObject({ fault: null, tie: 0, steps: 1 });
  });

  test.each<[string, Partial<Outcome>, string]>([
    [
      'logits that are farther away',
      { logits: [[[2.001, 1, -4]], STOCK.logits[1]!] },
      'logits of step 0, row 0',
    ],
    ['logits that are no numbers', { logits: [[[Number.NaN, 1, -4]], STOCK.logits[1]!] }, 'logits of step 0'],
    ['fewer logits', { logits: [[[2, 1]], STOCK.logits[1]!] }, 'logits of step 0'],
    ['fewer rows', { logits: [[], STOCK.logits[1]!] }, '0 rows instead of 1'],
    ['fewer steps', { logits: [STOCK.logits[0]!], tokens: [[5, 0]] }, '1 steps instead of 2'],
    ['another prompt', { tokens: [[6, 0, 1]] }, 'tokens'],
    ['an error', { error: 'Error: no' }, 'ended with Error: no'],
    ['an interjection that failed', { interjected: 'Error: late' }, 'Error: late'],
  ])('%s: a fault', (_, change, fault) => {
    expect(compareOutcomes({ ...STOCK, ...change }, STOCK).fault).toContain(fault);
  });
});
