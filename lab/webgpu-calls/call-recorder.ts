import { type Interception, intercept } from '../../src/adapters/shared/interception.ts';
import { ObjectNotes } from './object-notes.ts';
import { observe, removeAll } from './observe.ts';
import type { DispatchState, WebGpuCall } from './webgpu-call.ts';

/** What a compute pass has set. */
interface PassState {
  pipeline?: GPUComputePipeline;
  /** The entries of bind group 0. */
  entries?: readonly GPUBindGroupEntry[];
}

/**
 * Notes the calls that reach WebGPU, as plain data. It is WebGPU's classes that are observed, so that the calls are those that are left
 * after whatever stands in front of the objects' methods. Create it before the runtime makes its device, because programs are known only
 * if their compilation was seen.
 */
export class CallRecorder {
  private calls: WebGpuCall[] | undefined;
  private readonly notes = new ObjectNotes();
  private readonly passes = new WeakMap<GPUComputePassEncoder, PassState>();
  private readonly ranges = new WeakMap<GPUBuffer, ArrayBuffer[]>();
  private readonly interceptions: Interception[];

  constructor() {
    this.interceptions = [
      ...this.notes.observe(),
      ...this.observeBuffers(),
      ...this.observeEncoders(),
      ...this.observePasses(),
    ];
  }

  /** Notes calls from now on. */
  begin(): void {
    this.calls = [];
  }

  /** The calls since {@link begin}; none are noted after them. */
  end(): WebGpuCall[] {
    const calls = this.calls ?? [];
    this.calls = undefined;
    return calls;
  }

  /** Takes everything away. */
  stop(): void {
    removeAll(this.interceptions);
  }

  private note(call: () => WebGpuCall): void {
    this.calls?.push(call());
  }

  private observeBuffers(): Interception[] {
    const of = (buffer: GPUBuffer) => this.notes.buffers.of(buffer);
    return [
      observe(GPUDevice.prototype, 'createBindGroup', (_, [{ entries }]) =>
        this.note(() => ({ kind: 'createBindGroup', bindings: this.notes.boundBy(entries) })),
      ),
      observe(GPUDevice.prototype, 'createBuffer', (buffer, [{ size, usage, mappedAtCreation }]) =>
        this.note(() => ({
          kind: 'createBuffer',
          buffer: of(buffer),
          size,
          usage,
          mapped: mappedAtCreation ?? false,
        })),
      ),
      observe(GPUBuffer.prototype, 'destroy', (_, __, buffer) =>
        this.note(() => ({ kind: 'destroyBuffer', buffer: of(buffer) })),
      ),
      observe(GPUBuffer.prototype, 'mapAsync', (_, __, buffer) =>
        this.note(() => ({ kind: 'mapAsync', buffer: of(buffer) })),
      ),
      observe(GPUBuffer.prototype, 'getMappedRange', (range, _, buffer) => {
        if (this.calls) this.ranges.set(buffer, [...(this.ranges.get(buffer) ?? []), range]);
      }),
      // What was written can be read only before the buffer is unmapped.
      intercept(GPUBuffer.prototype, 'unmap', (original, interception) => {
        const recorder = this;
        return function (this: GPUBuffer) {
          if (interception.active) recorder.noteUnmap(this);
          return original.call(this);
        };
      }),
      observe(GPUQueue.prototype, 'writeBuffer', (_, [buffer, offset, data, from = 0, length]) => {
        this.notes.uniforms.write(buffer, offset, data, from, length);
        this.note(() => ({
          kind: 'writeBuffer',
          buffer: of(buffer),
          offset,
          uniform: (buffer.usage & GPUBufferUsage.UNIFORM) !== 0,
          bytes: bytesOf(data, from, length),
        }));
      }),
    ];
  }

  private noteUnmap(buffer: GPUBuffer): void {
    const written = (buffer.usage & GPUBufferUsage.MAP_READ) === 0 ? (this.ranges.get(buffer) ?? []) : [];
    this.ranges.delete(buffer);
    this.note(() => ({
      kind: 'unmap',
      buffer: this.notes.buffers.of(buffer),
      bytes: written.flatMap((range) => [...new Uint8Array(range)]),
    }));
  }

  private observeEncoders(): Interception[] {
    const encoder = GPUCommandEncoder.prototype;
    const of = (buffer: GPUBuffer) => this.notes.buffers.of(buffer);
    return [
      observe(GPUDevice.prototype, 'createCommandEncoder', () =>
        this.note(() => ({ kind: 'createCommandEncoder' })),
      ),
      observe(encoder, 'beginComputePass', () => this.note(() => ({ kind: 'beginComputePass' }))),
      observe(encoder, 'finish', () => this.note(() => ({ kind: 'finish' }))),
      observe(GPUQueue.prototype, 'submit', () => this.note(() => ({ kind: 'submit' }))),
      observe(encoder, 'copyBufferToBuffer', (_, args) => {
        // The offsets may be left out.
        const [from, fromOffset, to, toOffset, size] = args as unknown as [
          GPUBuffer,
          number,
          GPUBuffer,
          number,
          number,
        ];
        this.note(() => ({ kind: 'copyBuffer', from: of(from), fromOffset, to: of(to), toOffset, size }));
      }),
      observe(encoder, 'clearBuffer', (_, [buffer, offset = 0, size]) =>
        this.note(() => ({ kind: 'clearBuffer', buffer: of(buffer), offset, size })),
      ),
    ];
  }

  private describe({ pipeline, entries }: PassState): DispatchState {
    return this.notes.describe(pipeline, entries);
  }

  private observePasses(): Interception[] {
    const pass = GPUComputePassEncoder.prototype;
    const stateOf = (self: GPUComputePassEncoder): PassState => {
      const state = this.passes.get(self) ?? {};
      this.passes.set(self, state);
      return state;
    };
    return [
      observe(pass, 'setPipeline', (_, [pipeline], self) => {
        stateOf(self).pipeline = pipeline;
        this.note(() => ({ kind: 'setPipeline', pipeline: this.notes.pipelines.of(pipeline) }));
      }),
      observe(pass, 'setBindGroup', (_, [index, group], self) => {
        const entries = this.notes.entriesOf(group);
        if (index === 0) stateOf(self).entries = entries;
        this.note(() => ({ kind: 'setBindGroup', index, bindings: this.notes.boundBy(entries) }));
      }),
      observe(pass, 'dispatchWorkgroups', (_, [x, y = 1, z = 1], self) =>
        this.note(() => ({ kind: 'dispatch', workgroups: [x, y, z], state: this.describe(stateOf(self)) })),
      ),
      observe(pass, 'dispatchWorkgroupsIndirect', (_, [buffer, offset], self) =>
        this.note(() => ({
          kind: 'dispatchIndirect',
          buffer: this.notes.buffers.of(buffer),
          offset,
          state: this.describe(stateOf(self)),
        })),
      ),
      observe(pass, 'end', () => this.note(() => ({ kind: 'end' }))),
    ];
  }
}

/** The bytes that a call of `writeBuffer` writes. */
function bytesOf(
  data: ArrayBufferView | ArrayBufferLike,
  from: number,
  length: number | undefined,
): number[] {
  const view = ArrayBuffer.isView(data);
  const unit = view && 'BYTES_PER_ELEMENT' in data ? (data as Uint8Array).BYTES_PER_ELEMENT : 1;
  const start = (view ? data.byteOffset : 0) + from * unit;
  const bytes = length === undefined ? data.byteLength - from * unit : length * unit;
  return [...new Uint8Array(view ? data.buffer : data, start, bytes)];
}
