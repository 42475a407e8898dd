import { bufferOfEntry } from './device-finder.ts';
import type { DeviceHook } from './device-hook.ts';
import type { Dispatch } from './pass-hook.ts';
import type { MatchedProgram } from './program.ts';

/** A dispatch of the runtime that was not encoded, with all that is needed to encode it later. */
export interface HeldDispatch {
  pipeline: GPUComputePipeline;
  entries: readonly GPUBindGroupEntry[];
  uniformBinding: number;
  /** The runtime may write other uniforms to its buffer before the dispatch is encoded, so this is a copy. */
  uniforms: Uint8Array<ArrayBuffer> | undefined;
  /** Bytes from the beginning of its buffer to what the dispatch binds of it. */
  uniformOffset: number;
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
  const uniforms = bytes && new Uint8Array(bytes.byteLength);
  uniforms?.set(new Uint8Array(bytes!.buffer, bytes!.byteOffset, bytes!.byteLength));
  return { pipeline, entries, uniformBinding, uniforms, uniformOffset: bound?.offset ?? 0, x, y, z };
}

/**
 * The same dispatch with another value of a uniform of four bytes.
 * @param offset bytes from the first uniform
 * @returns undefined if its uniforms were not seen
 */
export function withUniform(held: HeldDispatch, offset: number, value: number): HeldDispatch | undefined {
  if (!held.uniforms) return undefined;
  const uniforms = held.uniforms.slice();
  new DataView(uniforms.buffer).setUint32(held.uniformOffset + offset, value, true);
  return { ...held, uniforms };
}

/**
 * Encodes a dispatch that was kept.
 * @returns the buffer that its uniforms lie in, to be destroyed when the work has been submitted; undefined if it has none.
 */
export function encodeHeld(
  device: GPUDevice,
  pass: GPUComputePassEncoder,
  held: HeldDispatch,
): GPUBuffer | undefined {
  const buffer = held.uniforms && uniformBuffer(device, held.uniforms);
  const group = device.createBindGroup({
    layout: held.pipeline.getBindGroupLayout(0),
    entries: held.entries.map((entry) =>
      buffer && entry.binding === held.uniformBinding
        ? { binding: entry.binding, resource: { ...bufferOfEntry(entry), buffer } }
        : entry,
    ),
  });
  pass.setPipeline(held.pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(held.x, held.y, held.z);
  return buffer;
}

function uniformBuffer(device: GPUDevice, bytes: Uint8Array<ArrayBuffer>): GPUBuffer {
  const buffer = device.createBuffer({
    label: 'sift uniforms of the runtime',
    size: bytes.byteLength,
    usage: GPUBufferUsage.UNIFORM,
    mappedAtCreation: true,
  });
  new Uint8Array(buffer.getMappedRange()).set(bytes);
  buffer.unmap();
  return buffer;
}
