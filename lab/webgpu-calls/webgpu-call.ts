/** A range of a buffer that a bind group binds. */
export interface BoundRange {
  binding: number;
  /** The number of the buffer: an object keeps its number as long as it lives, and no other gets it. */
  buffer: number;
  offset: number;
  /** Bytes; undefined: up to the end of the buffer. */
  size: number | undefined;
}

/** The value of a uniform's field, with one number for each of its components. */
export interface FieldValue {
  name: string;
  values: readonly number[];
}

/** What a dispatch runs on. */
export interface DispatchState {
  /** The label of the program. */
  label: string;
  pipeline: number;
  /** What its uniform buffers held. */
  fields: readonly FieldValue[];
}

/** A call of WebGPU as plain data: objects are numbers, and contents are copied. */
export type WebGpuCall =
  | { kind: 'createBuffer'; buffer: number; size: number; usage: number; mapped: boolean }
  | { kind: 'destroyBuffer'; buffer: number }
  /** `bytes`: what the page had put into a buffer that was mapped for writing. */
  | { kind: 'unmap'; buffer: number; bytes: readonly number[] }
  | { kind: 'mapAsync'; buffer: number }
  | { kind: 'writeBuffer'; buffer: number; offset: number; uniform: boolean; bytes: readonly number[] }
  | { kind: 'createBindGroup'; bindings: readonly BoundRange[] }
  | { kind: 'createCommandEncoder' | 'beginComputePass' | 'end' | 'finish' | 'submit' }
  | { kind: 'setPipeline'; pipeline: number }
  /** What the group binds counts, not which object it is. */
  | { kind: 'setBindGroup'; index: number; bindings: readonly BoundRange[] }
  | { kind: 'dispatch'; workgroups: readonly [number, number, number]; state: DispatchState }
  | { kind: 'dispatchIndirect'; buffer: number; offset: number; state: DispatchState }
  | { kind: 'copyBuffer'; from: number; fromOffset: number; to: number; toOffset: number; size: number }
  | { kind: 'clearBuffer'; buffer: number; offset: number; size: number | undefined };

export type CallKind = WebGpuCall['kind'];

/** The calls of one decode step. */
export interface StepCalls {
  /** Keys in the cache, the step's own among them. */
  length: number;
  calls: readonly WebGpuCall[];
}
