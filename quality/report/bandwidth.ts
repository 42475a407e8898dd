// What a decode step would take on GPUs of other bandwidths, by bytes and a constant alone: a model, not a measurement.
// docs/lab/bandwidth.md explains it.
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
export interface Reading {
  name: string;
  /** Bytes that are read of K, V and the shadow, over those of K and V. */
  share: number;
  /** What a layer's attention takes besides the bytes, in microseconds. */
  fixed: number;
}

export const MODELS: readonly LanguageModel[] = [
  { marker: 'llama', layers: 16, kvHeads: 8, headSize: 64, weights: 0.7e9 },
  { marker: 'qwen', layers: 36, kvHeads: 8, headSize: 128, weights: 2.4e9 },
];

/** What is fixed is what the H200's times at 8,192 keys leave, with heads of 64 (docs/lab/shadow.md). */
export const READINGS = {
  dense: { name: 'dense', share: 1, fixed: 8 },
  values: { name: 'V alone', share: 0.54, fixed: 13 },
  shadow16: { name: 'shadow 16%', share: 0.16, fixed: 15 },
  shadow14: { name: 'shadow 14%', share: 0.14, fixed: 15 },
  shadow28: { name: 'shadow 28%', share: 0.28, fixed: 15 },
} as const satisfies Record<string, Reading>;

/** Microseconds a layer that the second table has for every way of reading alike: the mean of those above, and a pessimistic one. */
const SAME_FIXED = [12, 40];
const BANDWIDTHS = [100, 250, 500, 1000];
const LENGTHS = [8192, 32768, 131072];
const SETTINGS = BANDWIDTHS.flatMap((bandwidth) => LENGTHS.map((length) => ({ bandwidth, length })));

/** Bytes of K and V of one layer, in f16. */
const cacheBytes = ({ kvHeads, headSize }: LanguageModel, length: number) =>
  2 * length * kvHeads * headSize * 2;

/**
 * Milliseconds of a decode step: weights / bandwidth + layers * (fixed + share * bytes of K and V / bandwidth).
 *
 * @param bandwidth - GB/s
 * @param length - keys in the cache, in f16
 */
export function stepMilliseconds(
  model: LanguageModel,
  { share, fixed }: Pick<Reading, 'share' | 'fixed'>,
  bandwidth: number,
  length: number,
): number {
  const { layers, weights } = model;
  return (weights + layers * share * cacheBytes(model, length)) / (1e6 * bandwidth) + (layers * fixed) / 1000;
}

const number = (value: number) => value.toLocaleString('en');
const ratio = (dense: number, other: number) => (dense / other).toFixed(2);

/** The table of one model: milliseconds of a step that reads in each way, and how many times as fast as a dense one it is. */
export function bandwidthTable(model: LanguageModel): string {
  const { dense, values, shadow16, shadow14 } = READINGS;
  const others = [values, shadow16, shadow14];
  return markdownTable(
    [
      ...['GB/s', 'keys'],
      ...[dense, ...others].map(({ name }) => `${name}, ms`),
      ...others.map(({ name }) => `dense / ${name}`),
    ],
    SETTINGS.map(({ bandwidth, length }) => {
      const ms = (reading: Reading) => stepMilliseconds(model, reading, bandwidth, length);
      return [
        ...[number(bandwidth), number(length)],
        ...[dense, ...others].map((reading) => ms(reading).toFixed(1)),
        ...others.map((reading) => ratio(ms(dense), ms(reading))),
      ];
    }),
  );
}

/** How the ratios of one model change with what was assumed: with the same fixed time for every way of reading, and with more bytes. */
export function assumptionsTable(model: LanguageModel): string {
  const { dense, values, shadow16, shadow28 } = READINGS;
  return markdownTable(
    [
      ...['GB/s', 'keys'],
      ...SAME_FIXED.flatMap((fixed) =>
        [values, shadow16].map(({ name }) => `dense / ${name}, ${fixed} µs for all`),
      ),
      `dense / ${shadow28.name}, ${dense.fixed} and ${shadow28.fixed} µs`,
    ],
    SETTINGS.map(({ bandwidth, length }) => {
      const ms = (reading: Reading) => stepMilliseconds(model, reading, bandwidth, length);
      return [
        ...[number(bandwidth), number(length)],
        ...SAME_FIXED.flatMap((fixed) =>
          [values, shadow16].map((reading) => ratio(ms({ ...dense, fixed }), ms({ ...reading, fixed }))),
        ),
        ratio(ms(dense), ms(shadow28)),
      ];
    }),
  );
}
