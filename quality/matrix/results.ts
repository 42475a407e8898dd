import type { Verdict } from './judge.ts';
import type { Model } from './models.ts';

/** What was found of one model. */
export interface ModelResult extends Model, Verdict {
  seconds: number;
}

/** What a run writes with --json. */
export interface MatrixResults {
  /** Versions of the packages, by name. */
  versions: Record<string, string>;
  adapter: string;
  prompt: number;
  steps: number;
  models: ModelResult[];
}

/** The results of a file. @throws Error if it is none of the matrix */
export function parseMatrix(text: string): MatrixResults {
  const refuse = (cause?: unknown) => new Error('This file has no results of the model matrix.', { cause });
  let results: Partial<MatrixResults> | null;
  try {
    results = JSON.parse(text);
  } catch (error) {
    throw refuse(error);
  }
  if (!Array.isArray(results?.models)) throw refuse();
  return results as MatrixResults;
}

/** Results as text, a line for each model, so that two runs can be compared. */
export function writeMatrix({ models, ...settings }: MatrixResults): string {
  const head = JSON.stringify(settings).slice(0, -1);
  return `${head},"models":[\n${models.map((model) => JSON.stringify(model)).join(',\n')}\n]}\n`;
}

/** A run's results among those of an earlier one: models that were measured again are replaced. */
export function mergeMatrix(earlier: MatrixResults, now: MatrixResults): MatrixResults {
  const again = new Set(now.models.map(({ name, dtype }) => `${name} ${dtype}`));
  const kept = earlier.models.filter(({ name, dtype }) => !again.has(`${name} ${dtype}`));
  const models = [...kept, ...now.models].sort((a, b) => a.name.localeCompare(b.name));
  return { ...now, models };
}
