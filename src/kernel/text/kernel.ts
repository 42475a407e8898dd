import type { WgslModule } from './module.ts';
import type { BufferUse } from './schema.ts';

/** Names of the kernels of a decode step. */
export type KernelName =
  | 'moments'
  | 'dense'
  | 'denseLearn'
  | 'sift'
  | 'scores'
  | 'gather'
  | 'combine'
  | 'learn';

/** What the grid of a dispatch depends on. */
export interface GridSize {
  batch: number;
  /** Workgroups that share the keys of one KV head (and block of query heads). */
  splits: number;
  queryHeads: number;
  kvHeads: number;
  /** Workgroups that together serve a group of query heads. */
  blocks: number;
  vecs: number;
  /** This step keeps every row. */
  dense: boolean;
  /** Something stands for the rows that are not read: workgroups beside the splits prepare it. */
  corrects: boolean;
}

/** A kernel as a value. Everything that the host needs to know of it follows from here. */
export interface Kernel {
  readonly name: KernelName;
  /** Its WGSL, in order; the modules that every kernel has are added by the assembler. */
  readonly modules: readonly WgslModule[];
  /** Its storage buffers, in the order of their bindings after the parameters. */
  readonly buffers: readonly BufferUse[];
  /** Invocations of a workgroup. */
  readonly workgroupSize: number;
  /** It reads rows of K or V, and so has the buffers of the cache's layout, too. */
  readonly readsKv: boolean;
  /** Rows that a slot reads at a time, at most. */
  readonly rowsAtOnce: number;
  /** Scores of neighbouring keys share a word: they must be those of lanes of one subgroup. */
  readonly pairsKeys?: boolean;
  /** A head may have several workgroups, each with a slice of the row. */
  readonly sliced?: boolean;
  /** Workgroups in x, y and z; `constants` are the kernel's own. */
  grid(size: GridSize, constants: Readonly<Record<string, unknown>>): [x: number, y: number, z: number];
}
