import { expect, test } from 'vitest';
import { learnedPolicy, paperPolicy, presetPolicy } from '../../src/index.ts';
import { parsePolicy } from './policy-syntax.ts';

test('a text names any policy', () => {
  expect(parsePolicy('paper:0.95').policy).toEqual(paperPolicy({ tau: 0.95 }));
  expect(parsePolicy('learned:0.5,warmup=8').policy).toEqual(learnedPolicy({ tau: 0.5, warmup: 8 }));
  expect(parsePolicy('mass:0.05,axis=step,exponent=prior,variance=0.1,dropped=none').policy).toMatchObject({
    target: { kind: 'mass', epsilon: 0.05 },
    axis: 'step',
    exponent: { kind: 'prior', beta: -1, variance: 0.1 },
    dropped: 'none',
  });
  expect(parsePolicy('preset:balanced,keys=shadow').policy).toEqual(presetPolicy('balanced', 'shadow'));
  expect(parsePolicy('preset:exact').policy).toEqual(presetPolicy('exact'));
  expect(parsePolicy('uniform:1').policy).toMatchObject({ target: { kind: 'uniform', c: 1 }, warmup: 0 });
});

test('what it does not know is refused', () => {
  for (const text of [
    'best:1',
    'paper',
    'paper:0.5,foo=1',
    'paper:0.5,guard=yes',
    'uniform:1,keys=none',
    'paper:1.5',
  ]) {
    expect(() => parsePolicy(text)).toThrow();
  }
});
