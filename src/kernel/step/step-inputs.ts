import type { StepPlan, ThresholdPolicy } from '../../policy/index.ts';
import type { GridSize } from '../text/kernel.ts';
import type { CompiledKernel } from './kernel-set.ts';
import type { StepGeometry } from './params.ts';
import type { StepKind } from './step-kinds.ts';

/** Inputs of a decode step that are the same for all its layers. */
export interface StepInputs {
  /** Sequences. */
  batch: number;
  /** i32 [batch]: the keys in each sequence's cache, less `lengthBias`. */
  lengths: GPUBufferBinding;
  lengthBias: number;
  /** Keys of the longest sequence. The grid is sized by it. */
  maxLength: number;
  /**
   * Rows from one KV head to the next in K and V; of a paged cache, the entry where the page table begins.
   */
  capacity: number;
  /** The row of K and V that is the first key: those before it are outside a sliding window. Default 0. */
  firstKey?: number;
  /** Factor of q · k, usually 1/sqrt(headSize). */
  scale: number;
  policy: ThresholdPolicy;
  /** What the policy has this step do. */
  plan: StepPlan;
  /** Whether the step notes which V rows it reads, in `LayerState.readBits`. Default false. */
  notesReads?: boolean | undefined;
}

/** A kernel, and how many workgroups of it are dispatched. */
export interface Dispatch {
  kernel: CompiledKernel;
  x: number;
  y: number;
  z: number;
}

/** A step whose parameters are written. It serves all layers of one geometry. */
export interface PreparedStep extends StepInputs {
  kind: StepKind;
  geometry: StepGeometry;
  /** Dynamic offset of the step's parameters in bytes. */
  paramsOffset: number;
  /** What the numbers of workgroups follow from. */
  size: GridSize;
  /** Measures the moments, if the step does so. */
  measure: Dispatch | undefined;
  /** What layers encode into their shadows at this step, and the parameters for it. */
  encodings: Map<string, { paramsOffset: number; dispatches: readonly Dispatch[] }>;
  /** Dispatches of {@link AttentionEncoder.attend} and of {@link AttentionEncoder.combine}. */
  attend: readonly Dispatch[];
  finish: readonly Dispatch[];
}

/** The tensors that one layer's attention reads, with elements of the shape's `dtype`. */
export interface LayerInputs {
  /** [batch, queryHeads, headSize]. */
  q: GPUBufferBinding;
  /** K rows: [batch, kvHeads, capacity, headSize], unless the KV layout says otherwise. */
  keys: GPUBufferBinding;
  /** V rows, likewise. */
  values: GPUBufferBinding;
  /** Only of a paged cache: i32, the pages of the sequence. */
  pageTable?: GPUBufferBinding;
  /**
   * Only if the shape has attention sinks: [queryHeads], scores that are not scaled, the same for every sequence. Bytes: a multiple of
   * 16, because kernels read whole storage words.
   */
  sinks?: GPUBufferBinding | undefined;
}
