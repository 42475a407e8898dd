/** A buffer without a GPU. */
export class FakeBuffer {
  destroyed = false;
  readonly size: number;

  constructor(
    private readonly device: FakeDevice | undefined,
    { size }: { size: number },
  ) {
    this.size = size;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    if (this.device) this.device.bytes -= this.size;
  }
}

/** As much of a GPUDevice as the code that allocates and binds needs: it counts bytes, and refuses what is too much. */
export class FakeDevice {
  /** Bytes of the buffers that are alive. */
  bytes = 0;
  buffers: FakeBuffer[] = [];
  bindGroups = 0;
  readonly limits: { maxStorageBufferBindingSize: number; maxBufferSize: number };
  readonly queue = { submit: () => {} };
  /** What a scope would report, innermost last. */
  private readonly scopes: (object | null)[] = [];

  constructor(
    /** Bytes that the device has. */
    public memory = Number.POSITIVE_INFINITY,
    limit = 1 << 28,
  ) {
    this.limits = { maxStorageBufferBindingSize: limit, maxBufferSize: limit };
  }

  /** The device where a GPUDevice is wanted. */
  get gpu(): GPUDevice {
    return this as unknown as GPUDevice;
  }

  /** Buffers that are alive. */
  get alive(): number {
    return this.buffers.filter(({ destroyed }) => !destroyed).length;
  }

  pushErrorScope(): void {
    this.scopes.push(null);
  }

  async popErrorScope(): Promise<object | null> {
    if (this.scopes.length === 0) throw new Error('There is no error scope.');
    return this.scopes.pop()!;
  }

  createBuffer(descriptor: { size: number }): FakeBuffer {
    const buffer = new FakeBuffer(this, descriptor);
    this.bytes += buffer.size;
    this.buffers.push(buffer);
    if (this.bytes > this.memory) {
      if (this.scopes.length === 0) throw new Error('Out of memory outside any error scope.');
      this.scopes[this.scopes.length - 1] = { message: 'out of memory' };
    }
    return buffer;
  }

  createBindGroup(): object {
    this.bindGroups++;
    return { number: this.bindGroups };
  }

  createCommandEncoder(): object {
    return { clearBuffer: () => {}, finish: () => ({}) };
  }
}

/** Puts the constants and classes of WebGPU into Node that code without a GPU needs. */
export function defineWebGpuGlobals(): void {
  Object.assign(globalThis, {
    GPUBuffer: FakeBuffer,
    GPUBufferUsage: { COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 },
  });
}
