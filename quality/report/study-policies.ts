// The policies of the PyTorch study (quality/study/policies.py) as data, and what the plot and the tables call them.
import { z } from 'zod';

const figures = z.object({
  ppl: z.number(),
  klMean: z.number(),
  klMedian: z.number(),
  kl99: z.number(),
  top1: z.number(),
  keptHead: z.number(),
  keptGroup: z.number(),
  keptMass: z.number(),
});

const policy = z.looseObject({
  target: z.enum(['quantile', 'mass', 'uniform', 'probability', 'topk', 'window', 'skip', 'h2o']),
  v: z.number(),
  law: z.enum(['length', 'step', 'length-free', 'prior', 'oracle']).optional(),
  sel: z.enum(['head', 'sum', 'l2', 'max']).optional(),
  share: z.union([z.boolean(), z.literal(1)]).optional(),
  fix: z.enum(['renorm', 'none', 'mean', 'drop', 'block', 'warm', 'cov', 'warmcov', 'kreg']).optional(),
  norm: z.string().optional(),
  weight: z.string().optional(),
  gain: z.number().optional(),
  block: z.number().optional(),
  refit: z.number().optional(),
  kv: z.number().optional(),
  rows: z.number().optional(),
  moments: z.union([z.number(), z.string()]).optional(),
  only: z.array(z.number()).optional(),
  layers: z.array(z.number()).optional(),
  paper: z.union([z.boolean(), z.literal(1)]).optional(),
});

/** A policy of the study; null: exact attention. */
export type StudyPolicy = z.infer<typeof policy>;

/** A row of quality/results/study-*.json: figures on the half that levels are chosen on, and on the other. */
export type StudyRow = { policy: StudyPolicy | null; tune: StudyFigures; confirm: StudyFigures };
export type StudyFigures = z.infer<typeof figures>;

/** Reads the text of a study's file. */
export const parseStudy = (text: string): StudyRow[] =>
  z.array(z.object({ policy: policy.nullable(), tune: figures, confirm: figures })).parse(JSON.parse(text));

/** Of quality/results/study-moments.json, whose rows are of several models and lengths of the prompt. */
export type MomentsRow = StudyRow & { model: string; prompt: number };
export const parseMoments = (text: string): MomentsRow[] =>
  z
    .array(
      z.object({
        ...{ model: z.string(), prompt: z.int() },
        ...{ policy: policy.nullable(), tune: figures, confirm: figures },
      }),
    )
    .parse(JSON.parse(text));

const FIX: Record<NonNullable<StudyPolicy['fix']>, string> = {
  renorm: 'renormalised',
  none: 'not renormalised',
  mean: 'mean V',
  drop: 'mean of the dropped V',
  block: 'block means of V',
  warm: 'output of the tail in the warm-up',
  cov: 'mean V + Cov q',
  warmcov: 'mean V + Cov q about the warm-up',
  kreg: 'V by regression on K',
};

const TARGET: Record<StudyPolicy['target'], (v: number) => string> = {
  quantile: (v) => `quantile ${v}`,
  mass: (v) => `mass ${v}`,
  uniform: (v) => `${v}/S`,
  probability: (v) => `p ≥ ${v}`,
  topk: (v) => `top ${v}`,
  window: (v) => `newest ${v} and 4 sinks`,
  skip: (v) => `skip-softmax, λ = ${v}`,
  h2o: (v) => `H2O-style, ${100 * v}%`,
};

/** What stands for the dropped mass; no covariance is the mean alone. */
const fixOf = (p: StudyPolicy): NonNullable<StudyPolicy['fix']> =>
  p.fix === 'cov' && p.gain === 0 ? 'mean' : (p.fix ?? 'renorm');

/** What the tables call a policy. */
export function nameOf(p: StudyPolicy | null): string {
  if (!p) return 'exact';
  const learned = p.target === 'quantile' || p.target === 'mass';
  if (p.paper && p.law === 'step' && p.fix === 'none') return `paper, tau ${p.v}`;
  return [
    TARGET[p.target](p.v),
    learned &&
      {
        length: '1/S law',
        step: 'free fit on the step',
        'length-free': 'free fit on S',
        prior: 'fit with a prior',
        oracle: "each step's own",
      }[p.law ?? 'length'],
    p.sel && p.sel !== 'head' && `by the group's ${{ sum: 'sum', l2: 'norm', max: 'largest' }[p.sel]}`,
    p.share && 'shared in the group',
    p.target !== 'window' &&
      p.target !== 'h2o' &&
      FIX[fixOf(p)] + (p.gain && p.gain !== 0.5 ? ` × ${p.gain}` : ''),
    p.block && `blocks of ${p.block}`,
    p.norm && `normaliser ${p.norm}`,
    p.weight && `weighted by ${p.weight === 'v' ? 'V' : 'the output'}`,
    p.refit && `refit every ${p.refit}`,
    p.kv && 'per KV head',
    p.rows && `moments of ${p.rows} rows`,
    p.paper && p.law !== 'step' && 'newest row not kept',
    p.only && `layer ${p.only.join()} alone`,
    p.layers && `times ${p.layers[0]!.toFixed(1)} to ${p.layers.at(-1)!.toFixed(1)} by layer`,
  ]
    .filter(Boolean)
    .join(', ');
}

/** Families of the plot, in the order of its legend. */
export const FAMILIES = [
  'paper (free fit, not renormalised)',
  'learned, renormalised',
  'learned, mean V',
  'c/S, renormalised',
  'c/S, mean V',
  'c/S, mean V + Cov q',
  'c/S, other corrections',
  'c/S, estimated normaliser',
  'c/S, weighted or by layer',
  'fixed probability',
  "each step's own quantile or mass",
  'exact top-k',
  'newest rows and sinks',
  'H2O-style',
  'skip-softmax',
] as const;
export type Family = (typeof FAMILIES)[number];

/** The family of a policy; null for exact attention, and for what sifts one layer alone. */
export function familyOf(p: StudyPolicy | null): Family | null {
  if (!p || p.only) return null;
  if (p.target === 'topk') return 'exact top-k';
  if (p.target === 'window') return 'newest rows and sinks';
  if (p.target === 'h2o') return 'H2O-style';
  if (p.target === 'skip') return 'skip-softmax';
  if (p.target === 'probability') return 'fixed probability';
  const fix = fixOf(p);
  if (p.target === 'uniform') {
    if (p.weight || p.layers) return 'c/S, weighted or by layer';
    if (p.norm && p.norm !== 'exact') return 'c/S, estimated normaliser';
    if (fix === 'renorm') return 'c/S, renormalised';
    if (fix === 'mean') return 'c/S, mean V';
    return fix === 'cov' ? 'c/S, mean V + Cov q' : 'c/S, other corrections';
  }
  if (p.law === 'oracle') return "each step's own quantile or mass";
  if (fix === 'none') return 'paper (free fit, not renormalised)';
  return fix === 'renorm' ? 'learned, renormalised' : 'learned, mean V';
}
