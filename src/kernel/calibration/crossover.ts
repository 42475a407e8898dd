/** Microseconds of one layer's attention at one length, dense and sifted, measured in turns. */
export interface CrossoverSample {
  /** Keys. */
  length: number;
  dense: number;
  sift: number;
}

/** Share of the dense time that sifting must save to count as faster: less is noise, and dense is exact. */
const MARGIN = 0.02;

/** What sift / dense must fall by between the two longest lengths for its fall to be believed. */
const TREND = 0.05;

/** How far beyond the longest length measured the lines are believed. */
const BELIEVED = 4;

/** Keys below which nothing is measured: there the lines are drawn on. */
export const SHORTEST = 1024;

/** Times of one length that are further apart than this factor say that the machine did something else, or changed its clock. */
const STEADY = 1.5;

const CLEAR = 1.1;

/**
 * One sample from times (in milliseconds) measured in turns: their medians. Where they are not steady the quickest dense one counts,
 * so that sifting begins by no accident: what disturbs only adds to a time.
 */
export function sampleOf(
  length: number,
  dense: readonly number[],
  sift: readonly number[],
): { sample: CrossoverSample; steady: boolean } {
  const steady = [dense, sift].every((times) => Math.max(...times) <= STEADY * Math.min(...times));
  const denseTime = steady ? median(dense) : Math.min(...dense);
  return { sample: { length, dense: 1000 * denseTime, sift: 1000 * median(sift) }, steady };
}

/** Whether every time of one kind is shorter than every one of the other by a tenth: no more need be measured. */
export function clearlyApart(a: readonly number[], b: readonly number[]): boolean {
  return CLEAR * Math.max(...a) < Math.min(...b) || CLEAR * Math.max(...b) < Math.min(...a);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Keys from which a sifted step was measured to be faster than a dense one: 0 if it is at every length, Infinity if at none.
 *
 * Both times rise linearly once every workgroup has work, but not before: at short lengths both are the time of their launches, and one
 * line through all would take its slope from there. So the difference of the two is taken to be linear between neighbouring
 * lengths only; beyond the longest it goes on as between the last two. Below the shortest nothing is known, unless that is
 * {@link SHORTEST}: steps that were not measured (the time was over) are dense. What lies beyond the longest is believed up to four times the longest length, and only if
 * the ratio clearly falls: where the lines are nearly parallel, a few per cent of noise move their crossing by any amount, and being
 * wrong would make long steps slower.
 *
 * @param samples in order of their lengths
 */
export function crossover(samples: readonly CrossoverSample[]): number {
  const last = samples.at(-1);
  if (!last) return Number.POSITIVE_INFINITY;
  // What sifting costs more than dense allows, in microseconds: negative where it is faster.
  const excess = ({ dense, sift }: CrossoverSample) => sift - (1 - MARGIN) * dense;
  const crossing = (a: CrossoverSample, b: CrossoverSample) => {
    const slope = (excess(b) - excess(a)) / (b.length - a.length);
    return slope < 0 ? a.length - excess(a) / slope : Number.POSITIVE_INFINITY;
  };
  if (excess(last) >= 0) {
    const before = samples.at(-2);
    if (!before || before.sift / before.dense - last.sift / last.dense < TREND)
      return Number.POSITIVE_INFINITY;
    const at = crossing(before, last);
    return at <= BELIEVED * last.length ? Math.ceil(at) : Number.POSITIVE_INFINITY;
  }
  // Faster at the longest: back to the longest at which it is not.
  for (let i = samples.length - 2; i >= 0; i--) {
    if (excess(samples[i]!) >= 0) return Math.ceil(crossing(samples[i]!, samples[i + 1]!));
  }
  // At every length measured.
  const [first, second] = samples;
  if (first!.length > SHORTEST) return first!.length;
  if (!second) return 0;
  const below = crossing(first!, second);
  return below < first!.length ? Math.max(0, Math.ceil(below)) : 0;
}
