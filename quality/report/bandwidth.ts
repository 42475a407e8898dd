// What a decode step would take on GPUs of other bandwidths, by bytes alone: a model, not a measurement. docs/lab/bandwidth.md explains it.
import { markdownTable } from '../../lab/markdown.ts';

/** A language model, as far as its decode step reads memory. */
interface LanguageModel {
  /** Its marker in the page. */
  marker: string;
  layers: number;
  kvHeads: number;
  headSize: number;
  /** Bytes of its weights in 4 bits that a step reads; an assumption. */
  weights: number;
}

/** How a step reads K and V. */
interface Reading {
  name: string;
  /** Bytes that are read of K, V and the shadow, over those of K and V. */
  share: number;
  /** What a layer's attention takes besides the bytes, in microseconds: what the H200's times at 8,192 keys leave. */
  fixed: number;
}

export const MODELS: readonly LanguageModel[] = [
  { marker: 'llama', layers: 16, kvHeads: 8, headSize: 64, weights: 0.7e9 },
  { marker: 'qwen', layers: 36, kvHeads: 8, headSize: 128, weights: 2.4e9 },
];

export const READINGS: readonly Reading[] = [
  { name: 'dense', share: 1, fixed: 8 },
  { name: 'V alone', share: 0.54, fixed: 13 },
  { name: 'shadow', share: 0.16, fixed: 15 },
];

const BANDWIDTHS = [100, 250, 500, 1000];
const LENGTHS = [8192, 32768, 131072];

/**
 * Milliseconds of a decode step: weights / bandwidth + layers * (fixed + share * bytes of K and V / bandwidth).
 *
 * @param bandwidth - GB/s
 * @param length - keys in the cache, in f16
 */
export function stepMilliseconds(
  { layers, kvHeads, headSize, weights }: LanguageModel,
  { share, fixed }: Reading,
  bandwidth: number,
  length: number,
): number {
  const cache = 2 * length * kvHeads * headSize * 2;
  return (weights + layers * share * cache) / (1e6 * bandwidth) + (layers * fixed) / 1000;
}

/** The table of one model: milliseconds of a step, and dense / shadow. */
export function bandwidthTable(model: LanguageModel): string {
  const head = [
    'GB/s',
    'keys',
    ...READINGS.map(({ name }) => `${name}, ms`),
    'dense / V alone',
    'dense / shadow',
  ];
  const rows = BANDWIDTHS.flatMap((bandwidth) =>
    LENGTHS.map((length) => {
      const [dense, values, shadow] = READINGS.map((reading) =>
        stepMilliseconds(model, reading, bandwidth, length),
      );
      return [
        bandwidth,
        length.toLocaleString('en'),
        ...[dense!, values!, shadow!].map((ms) => ms.toFixed(1)),
        (dense! / values!).toFixed(2),
        (dense! / shadow!).toFixed(2),
      ];
    }),
  );
  return markdownTable(head, rows);
}
