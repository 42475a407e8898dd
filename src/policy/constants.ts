// Numbers of the method that the kernels, the oracle and the docs share: each is written down here alone.

/** Share of the first-order term that a `linear` correction adds; rows above the threshold, which are read, have their part of it. */
export const LINEAR_GAIN = 0.5;

/** Rows of a cache that the moments of V are taken from at most. */
export const MOMENT_ROWS = 4096;

/**
 * Growth of the cache after which the moments of V are measured again. After short prompts they are soon those of other text
 * (docs/quality.md).
 */
export const MOMENT_GROWTH = 1.1;

/**
 * Parts of a sliding window: when it has moved on by one of them, the moments of its rows are measured again. Then at most an eighth of
 * the rows that they come from have left the window, which is about as much as {@link MOMENT_GROWTH} allows of rows that are new.
 */
export const MOMENT_WINDOW_PARTS = 8;

/**
 * Keys that the log-normaliser is estimated from when rows are chosen in one pass: the first ones (sinks), the newest, and a sample of
 * those between.
 */
export const ESTIMATE_KEYS = { sink: 16, newest: 48, samples: 64 } as const;

/** Distance between the values of neighbouring codes of the shadow, over the scale of their row: four of them cover 2.4 to either side. */
export const CODE_STEP = 1.2;

/**
 * How many times the scale of a row that its statistics describe a row of the shadow may have, in eighths of an octave: a factor of 2.8.
 * Rows beyond are read, because the errors of their scores grow with the scale. After a prompt of one token again and again, whose channels
 * have hardly any deviation, those of other text do so beyond all bounds (docs/quality.md).
 */
export const LARGEST_SCALE = 12;

/** Elements of a block that the shadow's rotation mixes: the largest power of two that divides the head size. */
export function hadamardSize(headSize: number): number {
  return headSize & -headSize;
}

/** The guard of a head whose threshold was learned. */
export const GUARD = {
  /** Weight of the past in the exponential moving average of the kept mass. */
  decay: 0.9,
  /** The probability mass that a head must keep on average. */
  leastMass: 0.5,
  /** The average is judged from the observation after this many that follow a fit. */
  graceSteps: 16,
} as const;
