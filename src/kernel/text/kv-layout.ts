import type { WgslModule } from './module.ts';
import { libKvContiguous } from './modules.ts';
import type { BufferUse } from './schema.ts';

/** How K and V lie in their buffers. */
export interface KvLayout {
  /** Names the layout among the compiled kernels. */
  readonly name: string;
  /**
   * WGSL of `k_row` and `v_row`, each `(batch: u32, kv_head: u32, key: u32) -> u32`: the storage word at which a row begins; and of the
   * constant `LOOKS_UP`: whether they read memory for it. Then lanes look up a row each and tell others. Else the row of the next key
   * must lie WORDS further on. The words of a row must follow one another.
   */
  readonly modules: readonly WgslModule[];
  /** Constants of the layout's own. */
  readonly constants: Readonly<Record<string, number>>;
  /** Storage buffers that the functions read. With the kernels' own they must stay within 8 a stage. */
  readonly buffers: readonly BufferUse[];
  /** The runtime merges partial attentions: the base-2 log-sum-exp of every head's scores is written, too. */
  readonly merges: boolean;
}

/** K and V each [batch, kvHeads, capacity, headSize]. */
export const CONTIGUOUS_KV: KvLayout = {
  name: 'contiguous',
  modules: [libKvContiguous],
  constants: {},
  buffers: [],
  merges: false,
};
