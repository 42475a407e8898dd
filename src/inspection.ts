/** Options of `sift.inspect`. */
export interface InspectOptions {
  /** The layers that are wanted, from 0. Default: all. Fewer are read back from the GPU faster. */
  layers?: readonly number[] | undefined;
}

/** What one KV head of one sequence read. */
export interface InspectedHead {
  /** The sequence of the batch, from 0. */
  sequence: number;
  /** The KV head, from 0. Its group of query heads shares what is read. */
  kvHead: number;
  /** V rows that were read: those that at least one query head of the group keeps. */
  rows: number;
  /**
   * A bit for each key: the V row of key `i` was read if `bits[i >>> 5] & (1 << (i & 31))` is not 0. A key is a token; key 0 is the layer's
   * `firstKey`. Of a sequence that is shorter than the longest of its batch, the bits of the others are 0 in sifted steps.
   */
  bits: Uint32Array;
}

/** What one layer read in one decode step. */
export interface InspectedLayer {
  /** The number of the layer, from 0. */
  layer: number;
  /** The place in the text of the layer's first key. It is 0, but for a layer with a sliding window that the text has outgrown. */
  firstKey: number;
  /** Keys of the longest sequence: those before the new token, and the new one. */
  keys: number;
  /** Whether the step sifted in this layer. Otherwise every row was read. */
  sifted: boolean;
  /** By sequence and KV head. */
  heads: InspectedHead[];
  /** Bytes of V that were read, and that dense attention reads. */
  valuesRead: number;
  valuesDense: number;
}

/** What a decode step read. */
export interface InspectedStep {
  /** The number of the decode step in its conversation, from 1. */
  step: number;
  /** Tokens in the KV cache after the step. */
  length: number;
  /** The layers that went through the kernels of this package, of those that were asked for. The runtime's own kernel reads every row. */
  layers: InspectedLayer[];
}

/** Is told what a step read. It is called after the step, when the GPU has done it. */
export type InspectListener = (step: InspectedStep) => void;
