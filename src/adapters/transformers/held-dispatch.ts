import type { StepResources } from '../../kernel/step/encoder.ts';
import { PARAMS_STRIDE } from '../../kernel/step/params.ts';
import { bufferOfEntry } from './device-finder.ts';
import type { DeviceHook } from './device-hook.ts';
import type { Dispatch } from './pass-hook.ts';
import type { MatchedProgram } from './program.ts';

/** A dispatch of the runtime that was not encoded, with all that is needed to encode it later. */
export interface HeldDispatch {
  pipeline: GPUComputePipeline;
  entries: readonly GPUBindGroupEntry[];
  uniformBinding: number;
  /** What the dispatch binds. The runtime may write other uniforms to its buffer before it is encoded, so this is a copy. */
  uniforms: Uint8Array<ArrayBuffer> | undefined;
  x: number;
  y: number;
  z: number;
}

/** Keeps a dispatch whose uniforms were seen. */
export function holdDispatch(dispatch: Dispatch, program: MatchedProgram, hook: DeviceHook): HeldDispatch {
  const { pipeline, entries, x, y, z } = dispatch;
  const { uniformBinding } = program;
  const bound = bufferOfEntry(entries.find(({ binding }) => binding === uniformBinding));
  const bytes = bound && hook.uniformBytes(bound.buffer);
  // Without uniforms, or with some that were written before the plugin listened, there is nothing to keep.
  const from = bound?.offset ?? 0;
  const end = from + Math.min(bound?.size ?? PARAMS_STRIDE, PARAMS_STRIDE);
  const uniforms =
    bytes && new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength).slice(from, end);
  return { pipeline, entries, uniformBinding, uniforms, x, y, z };
}

/**
 * The same dispatch with another value of a uniform of four bytes.
 * @param offset bytes from the first uniform
 * @returns undefined if its uniforms were not seen
 */
export function withUniform(held: HeldDispatch, offset: number, value: number): HeldDispatch | undefined {
  if (!held.uniforms) return undefined;
  const uniforms = held.uniforms.slice();
  new DataView(uniforms.buffer).setUint32(offset, value, true);
  return { ...held, uniforms };
}

/**
 * Encodes a dispatch that was kept. No buffer is made for its uniforms: in the middle of the runtime's commands it might be refused for
 * lack of memory, and the commands with it.
 */
export function encodeHeld(
  { device, params }: Pick<StepResources, 'device' | 'params'>,
  pass: GPUComputePassEncoder,
  held: HeldDispatch,
): void {
  const { uniforms } = held;
  const resource = uniforms && {
    buffer: params.buffer,
    offset: params.write(uniforms.buffer),
    size: uniforms.byteLength,
  };
  const group = device.createBindGroup({
    layout: held.pipeline.getBindGroupLayout(0),
    entries: held.entries.map((entry) =>
      resource && entry.binding === held.uniformBinding ? { binding: entry.binding, resource } : entry,
    ),
  });
  pass.setPipeline(held.pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(held.x, held.y, held.z);
}
