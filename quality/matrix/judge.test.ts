import { describe, expect, test } from 'vitest';
import { isNearTie, judge, needsSecondStock } from './judge.ts';
import type {
  OurDecoding,
  PluginMeasurement,
  StepDifference,
  StockDecoding,
  StockMeasurement,
} from './measurement.ts';

const SAME: StepDifference = { stock: 7, ours: 7, gap: 0.5, largest: 1e-6, range: 8, kl: 0 };
const flipped = (gap: number, largest: number): StepDifference => ({ ...SAME, ours: 3, gap, largest });

const decoding = (...digests: string[]): StockDecoding => ({ tokens: digests.map(() => 7), digests });
const STOCK: StockMeasurement = {
  layers: 2,
  adapter: 'software',
  decodings: [decoding('a', 'b')],
  error: null,
};

function ours(changes: Partial<OurDecoding> = {}): OurDecoding {
  return {
    differences: [SAME, SAME],
    layers: [0, 1].map((layer) => ({ layer, keptGroup: 1 })),
    sifted: 0,
    dense: 2,
    stock: 0,
    cache: 'shared',
    reasons: [],
    ...changes,
  };
}

const SIFTED = ours({
  layers: [0, 1].map((layer) => ({ layer, keptGroup: 0.25 + layer / 4 })),
  sifted: 2,
  dense: 0,
  differences: [
    { ...SAME, kl: 0.25 },
    { ...flipped(0.125, 1), kl: 0.75 },
  ],
});

const plugin = (changes: Partial<PluginMeasurement> = {}): PluginMeasurement => ({
  adapter: 'software',
  refused: null,
  error: null,
  before: decoding('a', 'b', 'c'),
  exact: ours(),
  sifted: SIFTED,
  after: decoding('a', 'b'),
  uncaught: [],
  ...changes,
});

const refusal = (changes: Partial<PluginMeasurement> = {}) =>
  plugin({
    refused: { code: 'UNSUPPORTED_MODEL', message: 'no' },
    exact: null,
    sifted: null,
    after: null,
    ...changes,
  });

describe('near-ties', () => {
  test.each([
    [0.001, 0.0006, true],
    [0.001, 0.0005, false],
    [0.001, 0.0004, false],
    [0, 0, false],
  ])('gap %d, largest difference %d: %s', (gap, largest, expected) => {
    expect(isNearTie({ gap, largest })).toBe(expected);
  });

  test('are told with their numbers, and are no failure', () => {
    const { outcome, exact } = judge(
      STOCK,
      plugin({ exact: ours({ differences: [SAME, flipped(0.001, 0.0006)] }) }),
    );
    expect(outcome).toBe('served');
    expect(exact).toMatchObject({ steps: 2, nearTies: [{ step: 1, gap: 0.001, largest: 0.0006 }] });
  });

  test('another token that rounding does not explain is a wrong token', () => {
    const { outcome, failures } = judge(
      STOCK,
      plugin({ exact: ours({ differences: [SAME, flipped(0.01, 0.0006)] }) }),
    );
    expect(outcome).toBe('FAILURE');
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatch(/^wrong token: .*step 1 gives 3 instead of 7/);
  });

  test.each([1, Number.POSITIVE_INFINITY])(
    'differences of %d of 8 are no rounding, although each token would pass for a near-tie',
    (largest) => {
      const differences = [SAME, flipped(0.5, largest)];
      const { failures } = judge(STOCK, plugin({ exact: ours({ differences }) }));
      expect(failures.join()).toContain('wrong logits');
    },
  );
});

describe('outcomes', () => {
  test('all layers served: what was read, and what it changed', () => {
    expect(judge(STOCK, plugin())).toMatchObject({
      outcome: 'served',
      failures: [],
      layers: 2,
      served: [0, 1],
      cache: 'shared',
      sifted: { kept: [0.25, 0.5], kl: 0.5, otherTokens: 1, steps: 2 },
    });
  });

  test('some layers, or none', () => {
    const one = { layer: 1, keptGroup: 0.5 };
    const sifting = (...layers: OurDecoding['layers']) => ({
      sifted: { ...SIFTED, layers, reasons: ['a window'] },
    });
    const some = judge(STOCK, plugin(sifting(one)));
    expect(some).toMatchObject({ outcome: 'partly', served: [1], reasons: ['a window'] });
    // Two attentions on the cache of one layer are not two layers.
    expect(judge(STOCK, plugin(sifting(one, one))).outcome).toBe('partly');
    expect(judge(STOCK, plugin(sifting())).outcome).toBe('none');
  });

  test('steps that the runtime did alone are told', () => {
    const sifted = { ...SIFTED, stock: 2 };
    expect(judge(STOCK, plugin({ sifted })).reasons).toEqual(["2 of 4 steps were the runtime's alone"]);
  });

  test('every row was asked for: that is no reason to be told', () => {
    const exact = ours({ reasons: ['the policy keeps every row'] });
    expect(judge(STOCK, plugin({ exact })).reasons).toEqual([]);
  });

  test('a layer that sifts and leaves nothing out', () => {
    const sifted = { ...SIFTED, layers: [{ layer: 1, keptGroup: 1 }] };
    expect(judge(STOCK, plugin({ sifted })).failures).toEqual(['layer 1 sifted and left no row out']);
  });

  test('refused, with the code and the message', () => {
    expect(judge(STOCK, refusal())).toMatchObject({ outcome: 'refused', reasons: ['UNSUPPORTED_MODEL: no'] });
    const late = plugin({ refused: { code: 'OUT_OF_MEMORY', message: 'no' }, sifted: null, after: null });
    expect(judge(STOCK, late).outcome).toBe('FAILURE');
  });

  test('an error that is no SiftError', () => {
    const error = { stage: 'every row', name: 'TypeError', message: 'x is undefined' };
    expect(judge(STOCK, plugin({ error, exact: null, sifted: null, after: null })).failures).toEqual([
      'TypeError while: every row: x is undefined',
    ]);
  });

  test('an error that nobody caught', () => {
    expect(judge(STOCK, plugin({ uncaught: ['Error: late'] })).failures).toEqual([
      'nobody caught: Error: late',
    ]);
  });

  test('a layer that is not served without a reason', () => {
    const layers = [{ layer: 1, keptGroup: 0.5 }];
    expect(judge(STOCK, plugin({ sifted: { ...SIFTED, layers } })).reasons).toEqual([
      'the report gives no reason',
    ]);
  });

  test('a dead page of the plugin is a failure, one of stock is not ours', () => {
    const dead = { dead: { stage: 'sifted', message: 'the page crashed' } };
    expect(judge(STOCK, dead).failures).toEqual(['dead page: the page crashed, while: sifted']);
    expect(judge(dead, null)).toMatchObject({ outcome: 'stock fails', failures: [] });
    const error = { stage: 'loading the model', name: 'Error', message: 'no such class' };
    expect(judge({ ...STOCK, decodings: [], error }, null)).toMatchObject({
      outcome: 'stock fails',
      reasons: ['loading the model: no such class'],
    });
    expect(() => judge(STOCK, null)).toThrow('not measured');
  });
});

describe('stock with the plugin in the page', () => {
  test.each([
    [plugin({ before: decoding('a', 'x') }), 'with the plugin switched off, '],
    [plugin({ after: decoding('x') }), 'with the plugin switched off after sifting, '],
    [refusal({ before: decoding('x') }), 'after the plugin refused, '],
  ])('must be the same bits (%#)', (measured, words) => {
    expect(needsSecondStock(STOCK, measured)).toBe(true);
    for (const second of [null, STOCK]) {
      const { outcome, failures } = judge(STOCK, measured, second);
      expect(outcome).toBe('FAILURE');
      expect(failures).toHaveLength(1);
      expect(failures[0]).toContain(words);
    }
  });

  test('unless stock differs from itself: then nothing can be held against it', () => {
    const differences = [SAME, flipped(0.5, 0.001)];
    const measured = plugin({ after: decoding('x'), exact: ours({ differences }) });
    const verdict = judge(STOCK, measured, { ...STOCK, decodings: [decoding('a', 'b'), decoding('y', 'b')] });
    expect(verdict.outcome).toBe('served');
    expect(verdict.reasons.join()).toContain("stock's own logits differ");
  });

  test('is not decoded again where nothing differs', () => {
    expect(needsSecondStock(STOCK, plugin())).toBe(false);
    expect(needsSecondStock(STOCK, refusal())).toBe(false);
  });
});
