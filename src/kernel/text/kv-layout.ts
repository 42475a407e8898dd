import type { WgslModule } from './module.ts';
import { libKvContiguous } from './modules.ts';
import type { BufferUse } from './schema.ts';

/** How K and V lie in their buffers. */
export interface KvLayout {
  /** A unique name. Compiled kernels are kept by it. */
  readonly name: string;
  /**
   * WGSL of `k_row` and `v_row`, each `(batch: u32, kv_head: u32, key: u32) -> u32`, which give the storage
   * word at which the row of a key begins. The words of a row must follow one another.
   *
   * Also WGSL of the constant `LOOKS_UP`: whether these functions read memory. If they do, each lane looks up
   * one row and tells the others. If not, the row of the next key must begin WORDS further on.
   */
  readonly modules: readonly WgslModule[];
  /** Constants that the modules of the layout need. */
  readonly constants: Readonly<Record<string, number>>;
  /**
   * Storage buffers that the functions read. A kernel must not have more than 8 with its own, which is what
   * every WebGPU device allows.
   */
  readonly buffers: readonly BufferUse[];
  /**
   * Whether the runtime merges attention outputs over several sets of keys. If so, the base-2 log-sum-exp of
   * every head's scores is written, too.
   */
  readonly merges: boolean;
}

/** The layout where K and V are each [batch, kvHeads, capacity, headSize]. */
export const CONTIGUOUS_KV: KvLayout = {
  name: 'contiguous',
  modules: [libKvContiguous],
  constants: {},
  buffers: [],
  merges: false,
};
