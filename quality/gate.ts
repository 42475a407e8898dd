// The quality gate of CI: what is decoded, what is measured, and how far it may be from the committed table, quality/results/gate.json.

/** Tokens of the prompt, steps that learn, the step after which a run is looked at for the first time, and all steps. */
export const GATE = { prompt: 700, warmup: 8, early: 16, steps: 37 } as const;

/** Policies of both kinds: thresholds that are learned, and thresholds that are not. */
export const GATE_POLICIES = [`paper:0.75,warmup=${GATE.warmup}`, 'uniform:1'] as const;

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

function compare(name: string, got: GateFigures, want: GateFigures): string[] {
  const found: string[] = [];
  const ratio = got.kl / want.kl;
  if (!(ratio <= BOUNDS.kl && ratio >= 1 / BOUNDS.kl))
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

/** Says what is wrong with a run. It passes if nothing is. */
export function violations(run: GateRun, want: Required<GateRun>): string[] {
  const found = compare('early', run.early, want.early);
  if (!run.all) return found;
  found.push(...compare('all', run.all, want.all));
  if (run.all.recalled < want.all.recalled)
    found.push(
      `${run.all.recalled} of ${run.all.asked} tokens of the code, the table has ${want.all.recalled}`,
    );
  return found;
}
