// The quality gate of CI: what is decoded, what is measured, and how far it may be from the committed table, quality/results/gate.json.

/** Tokens of the prompt, steps that learn, the step after which a run is looked at for the first time, and all steps. */
export const GATE = { prompt: 700, warmup: 8, early: 16, steps: 37 } as const;

/** Policies of both kinds: thresholds that are learned, and thresholds that are not. */
export const GATE_POLICIES = [`paper:0.75,warmup=${GATE.warmup}`, 'uniform:1'] as const;

/** On a GPU, where steps cost little, every preset is measured, too. */
export const GPU_POLICIES = ['preset:exact', 'preset:high', 'preset:balanced', 'preset:fast'] as const;

/** Types of the embedded model's numbers: q4 computes in f32, q4f16 in half precision. */
export type GateDtype = 'q4' | 'q4f16';

/** KL that arithmetic alone makes: where both runs are below it they count as alike. */
const ROUNDING: Readonly<Record<GateDtype, number>> = { q4: 1e-7, q4f16: 1e-5 };

/** Figures of a run up to some step. */
export interface GateFigures {
  /** Mean KL against exact attention over the steps after the warm-up, nats. */
  kl: number;
  /** Share of V rows read, and kept fractions [layers][queryHeads]. */
  keptGroup: number;
  heads: number[][];
}

/** One run: its figures at the early look and, where it went on, at the end. There it has been asked for the planted code. */
export interface GateRun {
  early: GateFigures;
  all?: GateFigures & { recalled: number; asked: number };
}

/** The committed table. */
export interface GateTable {
  gpu: string;
  stock: { recalled: number; asked: number };
  policies: Record<string, Required<GateRun>>;
}

/** How far a run may be from the table: a factor of KL; points of the V rows read and of a head's kept fraction. */
export const BOUNDS = { kl: 1.2, keptGroup: 0.01, head: 0.03 } as const;

function compare(name: string, got: GateFigures, want: GateFigures, rounding: number): string[] {
  const found: string[] = [];
  const ratio = got.kl / want.kl;
  const alike = Math.max(got.kl, want.kl) <= rounding;
  if (!alike && !(ratio <= BOUNDS.kl && ratio >= 1 / BOUNDS.kl))
    found.push(`${name}: KL ${got.kl.toExponential(2)}, the table has ${want.kl.toExponential(2)}`);
  if (!(Math.abs(got.keptGroup - want.keptGroup) <= BOUNDS.keptGroup))
    found.push(
      `${name}: ${got.keptGroup.toFixed(3)} of the V rows are read, the table has ${want.keptGroup.toFixed(3)}`,
    );
  const heads = want.heads.flatMap((layer, l) =>
    layer.map((kept, h) => ({
      at: `layer ${l}, head ${h}`,
      off: Math.abs((got.heads[l]?.[h] ?? NaN) - kept),
    })),
  );
  const off = heads.filter((head) => !(head.off <= BOUNDS.head));
  if (off.length > 0)
    found.push(`${name}: kept fractions off, e.g. by ${off[0]!.off.toFixed(3)} in ${off[0]!.at}`);
  return found;
}

/** Says what is wrong with a run of a model of some dtype. It passes if nothing is. */
export function violations(run: GateRun, want: Required<GateRun>, dtype: GateDtype = 'q4'): string[] {
  const rounding = ROUNDING[dtype];
  const found = compare('early', run.early, want.early, rounding);
  if (!run.all) return found;
  found.push(...compare('all', run.all, want.all, rounding));
  if (run.all.recalled < want.all.recalled)
    found.push(
      `${run.all.recalled} of ${run.all.asked} tokens of the code, the table has ${want.all.recalled}`,
    );
  return found;
}
