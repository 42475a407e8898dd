import { markdownTable } from '../../lab/markdown.ts';
import type { MatrixResults, ModelResult } from './results.ts';

const percent = (value: number) => `${(100 * value).toFixed(0)}%`;

/** The layers that are served, in words. */
function layers({ outcome, served, layers }: ModelResult): string {
  if (outcome === 'refused') return 'refused';
  if (outcome === 'stock fails') return 'stock fails';
  const caches = [...new Set(served)];
  if (caches.length === 0) return 'none';
  const which =
    caches.length === layers ? `all ${layers}` : `${caches.length} of ${layers} (${caches.join(', ')})`;
  return served.length > caches.length ? `${which}, with ${served.length} attentions` : which;
}

function exactness({ exact }: ModelResult): string {
  if (!exact) return '–';
  const { nearTies, steps } = exact;
  if (nearTies.length === 0) return 'equal';
  const ties = nearTies.map(
    ({ step, gap, largest }) =>
      `step ${step}: the two best are ${gap.toExponential(1)} apart, logits differ by up to ${largest.toExponential(1)}`,
  );
  const count = `${nearTies.length} near-tie${nearTies.length === 1 ? '' : 's'}`;
  return `equal but for ${count} in ${steps} steps (${ties.join('; ')})`;
}

function kept({ sifted, served }: ModelResult): string {
  if (!sifted || served.length === 0) return '–';
  const [least, most] = [Math.min(...sifted.kept), Math.max(...sifted.kept)].map(percent);
  return least === most ? least! : `${least} to ${most}`;
}

const divergence = ({ sifted, served }: ModelResult): string =>
  sifted && served.length > 0 ? Math.max(0, sifted.kl).toExponential(1) : '–';

/** Text within a cell. */
const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function remarks({ failures, reasons }: ModelResult): string {
  return cell([...failures.map((failure) => `**${failure}**`), ...reasons].join('; '));
}

/** The table of docs/models.md. */
export const modelsTable = (models: readonly ModelResult[]): string =>
  markdownTable(
    [
      'model',
      'attention of its graph',
      'layers served',
      'every row read',
      'V rows read',
      'KL',
      'why not, or not all',
    ],
    models.map((model) => [
      `${model.name} (${model.architecture.replace(/For\w+$/, '')}, ${model.dtype})`,
      cell(model.attention ?? 'not read'),
      layers(model),
      exactness(model),
      kept(model),
      divergence(model),
      remarks(model),
    ]),
  );

/** What the results were measured with, in a sentence. */
export const settings = ({ versions, adapter, prompt, steps }: MatrixResults): string =>
  `Measured with ${Object.entries(versions)
    .map((pair) => pair.join(' '))
    .join(' and ')} on ${adapter}, in ${steps} decode steps after a prompt of ${prompt} tokens.`;

/** One line for the terminal. */
export const summary = (model: ModelResult): string =>
  [
    model.name.padEnd(18),
    model.outcome.padEnd(11),
    layers(model).padEnd(14),
    exactness(model),
    model.exact ? `differences ${model.exact.largest.toExponential(1)}` : '',
    kept(model),
    `KL ${divergence(model)}`,
    model.cache ?? '',
    `${model.seconds.toFixed(0)} s`,
    remarks(model),
  ]
    .filter(Boolean)
    .join('  ');
