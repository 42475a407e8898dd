import { describe, expect, it } from 'vitest';
import { attentionScores, denseAttention } from './attention.ts';
import type { AttentionInputs } from './inputs.ts';
import { createRandom } from './random.ts';

/** Head size 1, one head: scores are q * k, so probabilities can be chosen as exact ratios. */
function line(k: number[], v: number[], length = k.length): AttentionInputs {
  return {
    q: [1],
    k,
    v,
    batch: 1,
    queryHeads: 1,
    kvHeads: 1,
    headSize: 1,
    capacity: k.length,
    lengths: length,
  };
}

function randomInputs(seed: number): AttentionInputs {
  const random = createRandom(seed);
  const [batch, kvHeads, groupSize, headSize, capacity] = [2, 2, 3, 4, 9];
  const size = batch * kvHeads * capacity * headSize;
  const queryHeads = kvHeads * groupSize;
  return {
    q: random.normals(batch * queryHeads * headSize, 2),
    k: random.normals(size),
    v: random.normals(size),
    batch,
    queryHeads,
    kvHeads,
    headSize,
    capacity,
    lengths: [9, 5],
  };
}

describe('denseAttention', () => {
  it('gives the hand-computed average', () => {
    // Weights 1 : 2 : 5, V = 10, 20, 30: (10 + 40 + 150) / 8 = 25.
    const { output, probabilities } = denseAttention(line([0, Math.log(2), Math.log(5)], [10, 20, 30]), {
      details: true,
    });
    expect(output[0]).toBeCloseTo(25, 12);
    expect(Array.from(probabilities)).toEqual([1 / 8, 2 / 8, 5 / 8].map((p) => expect.closeTo(p, 14)));
  });

  it('counts a sink among the scores of the softmax, and gives it no row', () => {
    // Weights 1 : 2 : 5 : 8, of which the last has no row: (10 + 40 + 150) / 16 = 12.5.
    const inputs = line([0, Math.log(2), Math.log(5)], [10, 20, 30]);
    const { output, probabilities } = denseAttention({ ...inputs, sinks: [Math.log(8)] }, { details: true });
    expect(output[0]).toBeCloseTo(12.5, 12);
    // Probabilities are those among the keys.
    expect(probabilities[0]).toBeCloseTo(1 / 8, 14);
    const outputOf = (sink: number) => denseAttention({ ...inputs, sinks: [sink] }).output[0];
    expect([outputOf(-Infinity), outputOf(1e30)]).toEqual([expect.closeTo(25, 12), 0]);
    expect(() => denseAttention({ ...inputs, sinks: [1, 2] })).toThrow('`sinks`');
  });

  it('scales scores and not sinks', () => {
    const inputs = { ...line([2], [1]), scale: 0.5, sinks: [1] };
    expect(denseAttention(inputs).output[0]).toBeCloseTo(1 / 2, 14);
  });

  it('ignores rows beyond the length, whatever they hold', () => {
    const { output, scores, logProbabilities, probabilities } = denseAttention(
      line([0, Math.log(3), 1000, NaN], [4, 8, NaN, 7], 2),
      { details: true },
    );
    expect(output[0]).toBeCloseTo(7, 12);
    expect(Array.from(scores.slice(2))).toEqual([-Infinity, -Infinity]);
    expect(Array.from(logProbabilities.slice(2))).toEqual([-Infinity, -Infinity]);
    expect(Array.from(probabilities.slice(2))).toEqual([0, 0]);
  });

  it('scales by 1/sqrt(headSize) unless told otherwise', () => {
    const inputs = {
      ...line([], []),
      q: [1, 1, 1, 1],
      k: [2, 2, 2, 2],
      v: [1, 1, 1, 1],
      headSize: 4,
      capacity: 1,
    };
    expect(attentionScores({ ...inputs, lengths: 1 }).scores[0]).toBe(4);
    expect(attentionScores({ ...inputs, lengths: 1, scale: 0.25 }).scores[0]).toBe(2);
  });

  it('agrees with a naive GQA written with expanded K and V', () => {
    const x = randomInputs(1);
    const { output } = denseAttention(x);
    const { batch, queryHeads, kvHeads, headSize, capacity } = x;
    for (let b = 0; b < batch; b++) {
      for (let h = 0; h < queryHeads; h++) {
        const length = (x.lengths as number[])[b]!;
        const row = (t: ArrayLike<number>, i: number) => {
          const at = ((b * kvHeads + Math.floor((h * kvHeads) / queryHeads)) * capacity + i) * headSize;
          return Array.from(t).slice(at, at + headSize);
        };
        const qAt = (b * queryHeads + h) * headSize;
        const q = Array.from(x.q).slice(qAt, qAt + headSize);
        const weights = Array.from({ length }, (_, i) =>
          Math.exp(row(x.k, i).reduce((sum, value, d) => sum + value * q[d]!, 0) / 2),
        );
        const total = weights.reduce((sum, value) => sum + value, 0);
        for (let d = 0; d < headSize; d++) {
          const expected = weights.reduce((sum, weight, i) => sum + (weight / total) * row(x.v, i)[d]!, 0);
          expect(output[qAt + d]).toBeCloseTo(expected, 12);
        }
      }
    }
  });

  it('neither overflows nor underflows in the log domain', () => {
    const { logProbabilities, probabilities, output } = denseAttention(line([2000, 0], [3, 5]), {
      details: true,
    });
    expect(logProbabilities[1]).toBe(-2000);
    expect(probabilities[1]).toBe(0);
    expect(output[0]).toBe(3);
  });

  it.each<[string, Partial<AttentionInputs>]>([
    ['queryHeads', { queryHeads: 3 }],
    ['q', { q: [1, 2] }],
    ['k', { k: [1] }],
    ['v', { v: [1] }],
    ['lengths', { lengths: 10 }],
    ['lengths', { lengths: [1] }],
    ['lengths', { lengths: [0, 1] }],
    ['headSize', { headSize: 0 }],
    ['scale', { scale: NaN }],
  ])('refuses a bad %s', (option, change) => {
    const call = () => denseAttention({ ...randomInputs(2), ...change });
    expect(call).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', option }));
  });
});
