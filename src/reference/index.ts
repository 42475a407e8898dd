export type { AttentionScores, DenseAttention } from './attention.ts';
export { attentionScores, denseAttention } from './attention.ts';
export type { AttentionInputs } from './inputs.ts';
export type { Random } from './random.ts';
export { createRandom } from './random.ts';
export type { AttentionBytes, SiftedAttention, SiftOptions } from './sifted.ts';
export { judgedLogProbabilities, siftedAttention } from './sifted.ts';
