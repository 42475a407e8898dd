/**
 * The threshold forms of the study (sorts, plain sums, linear probabilities) written out once more and run
 * beside the tracker on synthetic scores: S normal scores give a tau-quantile that falls as 1/S.
 */
import { describe, expect, it } from 'vitest';
import { createRandom, ThresholdTracker } from '../oracle/index.ts';
import {
  learnedPolicy,
  paperPolicy,
  probabilityPolicy,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from '../policy/index.ts';

const WARMUP = 64;

function softmaxOfNormals(seed: number, size: number, spread = 1.5): Float64Array {
  const random = createRandom(seed);
  const weights = Float64Array.from({ length: size }, () => Math.exp(spread * random.normal()));
  const total = weights.reduce((a, c) => a + c, 0);
  return weights.map((w) => w / total);
}

/** p of decode step g after a prompt: independent scores at every step. */
const probabilities = (seed: number, prompt: number, g: number) =>
  softmaxOfNormals(seed * 65537 + g, prompt + g);

const ascending = (p: Float64Array) => p.slice().sort();

function sortedQuantile(p: Float64Array, tau: number): number {
  return ascending(p)[Math.floor(tau * (p.length - 1))]!;
}

function sortedMass(p: Float64Array, epsilon: number): number {
  const sorted = ascending(p);
  let sum = 0;
  const index = sorted.findIndex((value) => {
    sum += value;
    return sum > epsilon;
  });
  return sorted[index < 0 ? sorted.length - 1 : index]!;
}

type Form = (theta: number[], lengths: number[]) => (step: number, length: number) => number;

/** exp(mean(log theta + log n)) / n. */
const inverseLength: Form = (theta, lengths) => {
  const level = Math.exp(theta.reduce((sum, t, i) => sum + Math.log(t * lengths[i]!), 0) / theta.length);
  return (_step, length) => level / length;
};

/** Least squares of log theta on log step, as slope = cov / var. */
const stepFit: Form = (theta) => {
  const x = theta.map((_, i) => Math.log(i + 1));
  const y = theta.map(Math.log);
  const mean = (v: number[]) => v.reduce((a, c) => a + c, 0) / v.length;
  const [mx, my] = [mean(x), mean(y)];
  const covariance = mean(x.map((v, i) => v * y[i]!)) - mx * my;
  const slope = covariance / (mean(x.map((v) => v * v)) - mx * mx);
  return (step) => Math.exp(my - slope * mx) * step ** slope;
};

function warm(policy: ThresholdPolicy, seed: number, prompt: number): ThresholdTracker {
  const tracker = new ThresholdTracker(policy);
  for (let g = 1; g <= WARMUP; g++) tracker.observe(g, prompt + g, probabilities(seed, prompt, g));
  return tracker;
}

function keptFraction(tracker: ThresholdTracker, p: Float64Array, step: number): number {
  const threshold = tracker.logThreshold(step, p.length);
  return p.filter((value) => Math.log(value) >= threshold).length / p.length;
}

describe.each([1, 2, 3])('the tracker against the study, seed %i', (seed) => {
  const prompt = 500;
  const lengths = Array.from({ length: WARMUP }, (_, i) => prompt + i + 1);
  const steps = lengths.map((_, i) => probabilities(seed, prompt, i + 1));
  const mass = (epsilon: number) => validatePolicy({ ...learnedPolicy(), target: { kind: 'mass', epsilon } });
  const forms: [string, ThresholdPolicy, (step: number, length: number) => number][] = [
    ...[0.5, 0.875].map((tau): (typeof forms)[number] => [
      `1/S {tau ${tau}}`,
      learnedPolicy({ tau }),
      inverseLength(
        steps.map((p) => sortedQuantile(p, tau)),
        lengths,
      ),
    ]),
    [
      'fit {tau 0.875, step}',
      paperPolicy(),
      stepFit(
        steps.map((p) => sortedQuantile(p, 0.875)),
        lengths,
      ),
    ],
    [
      'mass 0.02',
      mass(0.02),
      inverseLength(
        steps.map((p) => sortedMass(p, 0.02)),
        lengths,
      ),
    ],
    ['0.3/S', uniformPolicy({ c: 0.3 }), (_step, length) => 0.3 / length],
    ['p >= 1e-4', probabilityPolicy({ p: 1e-4 }), () => 1e-4],
  ];

  it.each(forms)('%s keeps the same rows', (_name, policy, form) => {
    const tracker = warm(policy, seed, prompt);
    for (const g of [WARMUP + 1, 200, 700, 3000]) {
      const p = probabilities(seed, prompt, g);
      const threshold = form(g, p.length);
      expect(Math.exp(tracker.logThreshold(g, p.length)) / threshold).toBeCloseTo(1, 9);
      const expected = p.filter((value) => value >= threshold).length / p.length;
      expect(keptFraction(tracker, p, g)).toBe(expected);
    }
  });
});

describe.each([4, 5])('paper and default on a growing cache, seed %i', (seed) => {
  it('without a prompt (S = g) the free fit finds the 1/S law by itself', () => {
    const tracker = new ThresholdTracker(paperPolicy({ tau: 0.5 }));
    for (let g = 1; g <= WARMUP; g++) tracker.observe(g, g, softmaxOfNormals(seed * 65537 + g, g, 0.3));
    expect(Math.abs(tracker.fit!.beta + 1)).toBeLessThan(0.1);
    expect(tracker.fit!.r2).toBeGreaterThan(0.95);
  });

  it('after a long prompt the free fit is nearly constant on the step axis, and explains little', () => {
    const { fit } = warm(paperPolicy(), seed, 2000);
    expect(Math.abs(fit!.beta)).toBeLessThan(0.1);
    expect(fit!.r2).toBeLessThan(0.3);
  });

  it('the default holds the kept fraction while the cache grows sixfold; the paper’s falls', () => {
    const ours = warm(learnedPolicy(), seed, 1000);
    const paper = warm(paperPolicy(), seed, 1000);
    const p = probabilities(seed, 1000, 5000);
    expect(Math.abs(keptFraction(ours, p, 5000) - 0.125)).toBeLessThan(0.015);
    expect(keptFraction(paper, p, 5000)).toBeLessThan(0.06);
  });

  it('the mass target drops about its share while the cache grows', () => {
    const policy = validatePolicy({ ...learnedPolicy(), target: { kind: 'mass', epsilon: 0.05 } });
    const tracker = warm(policy, seed, 1000);
    const p = probabilities(seed, 1000, 4000);
    const threshold = tracker.logThreshold(4000, p.length);
    const dropped = p.reduce((sum, value) => sum + (Math.log(value) < threshold ? value : 0), 0);
    expect(Math.abs(dropped - 0.05)).toBeLessThan(0.01);
  });
});
