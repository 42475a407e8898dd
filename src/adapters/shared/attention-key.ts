/** More than any model has layers. */
const LAYERS = 0x10000;

/**
 * The number of an attention in a conversation: its layer's. Where several attend to one layer's K and V, as in Gemma 3n, the layer is the
 * one whose K and V they are, and `nth` counts them from 0.
 */
export function attentionKey(layer: number, nth = 0): number {
  return layer + nth * LAYERS;
}

export function layerOfKey(key: number): number {
  return key % LAYERS;
}

export function nthOfKey(key: number): number {
  return Math.floor(key / LAYERS);
}
