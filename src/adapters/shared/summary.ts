// A report in short. It is loaded with the first one that is asked for.
import type { SiftReport, SiftSummary } from '../../report.ts';

/** A report without its layers, and with a sentence. */
export function summarise({ layers, ...report }: SiftReport): SiftSummary {
  return { ...report, layerCount: layers.length, sentence: sentenceOf(report) };
}

type Figures = Omit<SiftReport, 'layers'>;

const count = (n: number, what: string) => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;
const round = (value: number) => (value < 10 ? value.toFixed(1) : value.toFixed(0));

/** A share, which is never rounded to none or all unless it is. */
function percent(share: number): string {
  if (share > 0 && share < 0.01) return 'under 1%';
  return `${Math.min(Math.round(share * 100), share < 1 ? 99 : 100)}%`;
}

function sentenceOf(report: Figures): string {
  const { enabled, lost, steps, stockSteps, reasons } = report;
  if (lost !== null) return `The GPU device is gone (${lost}).`;
  const head = `Sift is ${enabled ? 'on' : 'off'}`;
  const all = steps.sifted + steps.dense + stockSteps;
  const [reason] = [...reasons].sort((a, b) => b.count - a.count);
  if (all === 0) {
    const why =
      !enabled && reason ? `: ${reason.reason.replace(/\.$/, '')}` : ' and has seen no decode step yet';
    return `${head}${why}.`;
  }
  const speed = speedOf(report);
  if (steps.sifted > 0) {
    const sifted = `${count(steps.sifted, 'step')} of ${all.toLocaleString('en')} sifted`;
    return `${head}: ${sifted}, which read ${readOf(report)}; ${speed}.`;
  }
  return `${head}, and none of ${count(all, 'step')} sifted${reason ? ` (${reason.reason})` : ''}; ${speed}.`;
}

/** Shares over the sifted steps. */
function readOf({ policy, keptGroup, bytes }: Figures): string {
  const values = `${percent(keptGroup ?? 1)} of the rows of V`;
  if (policy.keys === 'exact') return `${values} and all of K`;
  const all = bytes.keysRead + bytes.keysSaved;
  return `${values} and ${percent(all > 0 ? bytes.keysRead / all : 1)} of the bytes of K`;
}

function speedOf({ speed: { millisecondsPerToken, tokensPerSecond } }: Figures): string {
  if (millisecondsPerToken === null || tokensPerSecond === null) return 'no time was measured';
  return `${round(millisecondsPerToken)} ms a token, ${round(tokensPerSecond)} tokens a second`;
}
