import { allocate } from '../../kernel/gpu/allocate.ts';
import { bufferOfEntry } from './device-finder.ts';
import type { DeviceHook } from './device-hook.ts';
import type { Dispatch } from './pass-hook.ts';
import type { MatchedProgram } from './program.ts';

/** Bytes from one place in the buffer to the next: the largest alignment of a uniform buffer's offset that WebGPU allows. */
const PLACE = 256;
/** Places in the buffer. */
const PLACES = 1024;
/** Places that the programs of one attention are taken to need at most. */
const ATTENTION = 16;

/**
 * Where the uniforms of dispatches go that were held back and are encoded after all. It is one buffer that is there before the runtime
 * encodes anything: one that is made in the middle of its commands might be refused for lack of memory, and its commands with it.
 */
export class HeldUniforms {
  private next = 0;
  /** Places that the run in progress has taken. */
  private taken = 0;

  private constructor(
    private readonly device: GPUDevice,
    private readonly buffer: GPUBuffer,
  ) {}

  /** @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST` */
  static async create(device: GPUDevice): Promise<HeldUniforms> {
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    const size = PLACE * PLACES;
    const [buffer] = await allocate(device, 'Uniforms of the runtime need', size, () => [
      device.createBuffer({ label: 'sift uniforms of the runtime', size, usage }),
    ]);
    return new HeldUniforms(device, buffer!);
  }

  /** Call when a run begins. Half of the places may be named by commands of the run before that are yet to be submitted. */
  begin(): void {
    this.taken = 0;
  }

  /** Whether there is room for the programs of one more attention in this run. */
  get hasRoom(): boolean {
    return this.taken + ATTENTION <= PLACES / 2;
  }

  /** Writes uniforms, and returns where they are bound. */
  write(bytes: Uint8Array<ArrayBuffer>): GPUBufferBinding {
    const { device, buffer } = this;
    const places = Math.ceil(bytes.byteLength / PLACE);
    if (this.next + places > PLACES) this.next = 0;
    const offset = this.next * PLACE;
    this.next += places;
    this.taken += places;
    device.queue.writeBuffer(buffer, offset, bytes);
    return { buffer, offset, size: bytes.byteLength };
  }

  destroy(): void {
    this.buffer.destroy();
  }
}

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
  const end = from + (bound?.size ?? Number.POSITIVE_INFINITY);
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

/** Encodes a dispatch that was kept. */
export function encodeHeld(
  { device, held: room }: DeviceHook,
  pass: GPUComputePassEncoder,
  held: HeldDispatch,
): void {
  const resource = held.uniforms && room?.write(held.uniforms);
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
