/** The shape of a decoder: everything that its weights' values do not matter for. */
export interface ModelShape {
  /** As config.json names it. In `qwen3` the q and k of each head are normed. */
  readonly modelType: 'llama' | 'qwen3';
  readonly layers: number;
  /** Elements of the residual stream. */
  readonly hidden: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  /** Elements of a head's query, key or value. */
  readonly headSize: number;
  /** Elements between the projections of the feed-forward network. */
  readonly intermediate: number;
  /** Tokens. */
  readonly vocabulary: number;
  /** The base of the rotary embedding's wavelengths. */
  readonly ropeTheta: number;
}

/** Shapes of published models, by their names on the hub in lower case, and a small one for software adapters. */
export const SHAPES = {
  'llama-3.2-1b': {
    modelType: 'llama',
    layers: 16,
    hidden: 2048,
    queryHeads: 32,
    kvHeads: 8,
    headSize: 64,
    intermediate: 8192,
    vocabulary: 128_256,
    ropeTheta: 500_000,
  },
  'qwen3-0.6b': {
    modelType: 'qwen3',
    layers: 28,
    hidden: 1024,
    queryHeads: 16,
    kvHeads: 8,
    headSize: 128,
    intermediate: 3072,
    vocabulary: 151_936,
    ropeTheta: 1_000_000,
  },
  small: {
    modelType: 'llama',
    layers: 4,
    hidden: 256,
    queryHeads: 8,
    kvHeads: 2,
    headSize: 64,
    intermediate: 512,
    vocabulary: 8192,
    ropeTheta: 500_000,
  },
} as const satisfies Record<string, ModelShape>;

export type ShapeName = keyof typeof SHAPES;

/** How weights, activations and caches are stored, named as transformers.js names its `dtype` option: matrices in 4 bits in both, and the
 * rest, with the activations and the KV cache, in f32 (`q4`) or f16 (`q4f16`). */
export type RandomDtype = 'q4' | 'q4f16';
