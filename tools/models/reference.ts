/**
 * Losses (nats) of models/tiny on windows of 1,024 tokens of models/text/excerpt.txt, measured on the CPU by
 * evaluate.ts: of the unquantised weights in f32, and of the 4-bit model that is committed.
 */
export const EXCERPT_LOSSES = {
  fp32: [3.52616, 3.55702, 3.60768, 3.67021, 3.01432, 3.05715, 3.03024, 3.19472],
  q4: [3.56688, 3.59574, 3.65072, 3.70125, 3.06562, 3.09031, 3.0568, 3.21798],
} as const;
