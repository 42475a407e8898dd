import type { WgslModule } from './module.ts';
import type { BufferUse } from './schema.ts';

/** Names of the kernels of a decode step. */
export type KernelName =
  | 'moments'
  | 'dense'
  | 'denseLearn'
  | 'encode'
  | 'sift'
  | 'shadow'
  | 'scores'
  | 'gather'
  | 'combine'
  | 'learn';

/** What the number of workgroups of a dispatch depends on. */
export interface GridSize {
  /** Sequences. */
  batch: number;
  /** Workgroups that share the keys of one KV head, for each block of its query heads. */
  splits: number;
  queryHeads: number;
  kvHeads: number;
  /** Blocks that the query heads of a KV head are cut into; a workgroup serves one. */
  blocks: number;
  /** vec4f of a row. */
  vecs: number;
  /** Newest rows of each sequence that are encoded into the shadow. */
  encodeRows: number;
  /** The step reads every row. */
  dense: boolean;
  /** The step corrects for dropped rows: workgroups beside the splits prepare the corrections. */
  corrects: boolean;
}

/** A kernel as a value. All that the host needs to know about a kernel is here. */
export interface Kernel {
  readonly name: KernelName;
  /** Its WGSL modules, in order. The assembler adds those that every kernel has. */
  readonly modules: readonly WgslModule[];
  /** Its storage buffers, in the order of their bindings; the parameters come before them. */
  readonly buffers: readonly BufferUse[];
  /** Invocations of a workgroup. */
  readonly workgroupSize: number;
  /** Whether it reads rows of K or V. If so, it also has the buffers of the KV layout. */
  readonly readsKv: boolean;
  /** The most rows that a slot (LANES neighbouring lanes) reads at a time. */
  readonly rowsAtOnce: number;
  /**
   * Whether scores of two neighbouring keys are stored in one word. Then two lanes of one subgroup must
   * compute them.
   */
  readonly pairsKeys?: boolean;
  /** Whether a head may have several workgroups, each with a slice of the output row. */
  readonly sliced?: boolean;
  /** Workgroups in x, y and z. `constants` are those that the kernel was compiled with. */
  grid(size: GridSize, constants: Readonly<Record<string, unknown>>): [x: number, y: number, z: number];
}
