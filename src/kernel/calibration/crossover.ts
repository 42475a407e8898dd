/** Microseconds that one layer's attention takes at one length, dense and sifted, measured in turns. */
export interface CrossoverSample {
  /** Keys. */
  length: number;
  dense: number;
  sift: number;
}

/** Microseconds that one layer's attention took at one length, each time that it was measured. */
export interface LengthTimes {
  /** Keys. */
  length: number;
  dense: number[];
  sift: number[];
}

/**
 * The share of the dense time that sifting must save to count as faster. Less is noise, and dense is exact.
 */
const MARGIN = 0.02;

/** How much sift / dense must fall between the two longest lengths for the trend to be believed. */
const TREND = 0.05;

/** How many times the longest measured length the lines are believed to hold. */
const BELIEVED = 4;

/** Keys below which nothing is measured. There the lines are extended. */
export const SHORTEST = 1024;

/**
 * If times of one length differ by more than this factor, the machine did something else or changed its
 * clock.
 */
const STEADY = 1.5;

/** Times that are apart by this factor are clearly apart. */
const CLEAR = 1.1;

/**
 * Makes a sample of times that were measured in turns: their medians. If they are not steady, the shortest
 * dense time counts instead. A disturbance can only add to a time, so that it cannot make sifting seem faster
 * than it is.
 *
 * @returns the sample, and whether the times were steady
 */
export function sampleOf({ length, dense, sift }: LengthTimes): { sample: CrossoverSample; steady: boolean } {
  const steady = [dense, sift].every((times) => Math.max(...times) <= STEADY * Math.min(...times));
  const denseTime = steady ? median(dense) : Math.min(...dense);
  return { sample: { length, dense: denseTime, sift: median(sift) }, steady };
}

/** Whether every time of one kind is shorter than every time of the other by a tenth. */
export function clearlyApart(a: readonly number[], b: readonly number[]): boolean {
  return CLEAR * Math.max(...a) < Math.min(...b) || CLEAR * Math.max(...b) < Math.min(...a);
}

/**
 * Whether a time is clearly longer than another, each of them measured several times: by a tenth, both by the
 * medians and by the shortest times. A disturbance seldom lengthens both.
 */
export function clearlyLonger(a: readonly number[], b: readonly number[]): boolean {
  return median(a) > CLEAR * median(b) && Math.min(...a) > CLEAR * Math.min(...b);
}

/** The median of a list that is not empty. */
function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The number of keys from which sifted steps are faster than dense ones, by what was measured.
 *
 * Both times rise linearly once every workgroup has work. At shorter lengths both are only the time of their
 * launches, and one line through all samples would take its slope from there. So the difference of the two
 * times is taken to be linear only between neighbouring lengths.
 *
 * Beyond the longest length the last line is extended up to four times that length, and only if sift / dense
 * clearly falls. Where the lines are nearly parallel, a few per cent of noise move their crossing by any
 * amount, and a wrong crossing would make long steps slower.
 *
 * Below the shortest length the first line is extended, if that length is {@link SHORTEST}. If it is longer,
 * there was no time to measure shorter steps; nothing is known about them, and they are dense.
 *
 * @param samples in ascending order of their lengths
 * @returns keys; 0 if sifting is faster at every length, Infinity if at none
 */
export function crossover(samples: readonly CrossoverSample[]): number {
  const last = samples.at(-1);
  if (!last) return Number.POSITIVE_INFINITY;
  // By how many microseconds sifting misses being faster by the margin. It is negative where sifting is
  // faster.
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
  // Sifting is faster at the longest length. The crossover lies after the longest length at which it is not.
  for (let i = samples.length - 2; i >= 0; i--) {
    if (excess(samples[i]!) >= 0) return Math.ceil(crossing(samples[i]!, samples[i + 1]!));
  }
  // Sifting is faster at every length that was measured.
  const [first, second] = samples;
  if (first!.length > SHORTEST) return first!.length;
  if (!second) return 0;
  const below = crossing(first!, second);
  return below < first!.length ? Math.max(0, Math.ceil(below)) : 0;
}
