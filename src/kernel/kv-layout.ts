import contiguousSource from '../../wgsl/kv-contiguous.wgsl?raw';

/** How K and V lie in their buffers. */
export interface KvLayout {
  /** Names the layout among the compiled kernels. */
  name: string;
  /**
   * WGSL of `k_row` and `v_row`, each `(batch: u32, kv_head: u32, key: u32) -> u32`: the storage word at which a row begins; and
   * of the constant `LOOKS_UP`: whether they read memory for it. Then lanes look up a row each and tell others. Else the row of the
   * next key must lie WORDS further on.
   * `params` and the shape's constants are in scope. The words of a row must follow one another.
   */
  source: string;
  /**
   * Read-only storage buffers that the functions use, at `@binding(16)`, `@binding(17)`…: `LayerInputs.kv` in order. With
   * the kernels' own they must stay within 8 a stage.
   */
  bindings: number;
  /** The runtime merges partial attentions: the combine writes the base-2 log-sum-exp of every head's scores, too. */
  merges: boolean;
}

/** `@binding` of a layout's first buffer. */
export const KV_BINDING = 16;

/** K and V each [batch, kvHeads, capacity, headSize]. */
export const CONTIGUOUS_KV: KvLayout = {
  name: 'contiguous',
  source: contiguousSource,
  bindings: 0,
  merges: false,
};
