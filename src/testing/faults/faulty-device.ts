/** What may be made to fail. */
export type FaultKind = 'buffer' | 'pipeline' | 'map';

/** Whether the call number `n` (from 0 on) of its kind fails. */
export type FaultPlan = Partial<Record<FaultKind, (n: number, label: string) => boolean>>;

interface Scope {
  filter: GPUErrorFilter;
  injected: { message: string } | undefined;
}

/**
 * Lets calls on a real device fail as WebGPU has them fail: memory that there is not gives an invalid buffer, and the error goes to the
 * innermost scope for it or else to whoever listens on the device; a pipeline is rejected with a GPUPipelineError; a buffer that cannot be
 * mapped rejects with an OperationError. Whatever names an invalid buffer is then lost by the rules of WebGPU, not by ours.
 *
 * It stands in front of the device's methods from its making until {@link remove}. Code that kept the methods of before is spared.
 */
export class FaultyDevice {
  readonly counts: Record<FaultKind, number> = { buffer: 0, pipeline: 0, map: 0 };
  /** Labels of the calls that failed. */
  readonly failed: string[] = [];
  /** Errors that no scope caught: those that a page would see in its console, and that spoil commands. */
  readonly uncaptured: string[] = [];
  plan: FaultPlan = {};
  /** Buffers that were made and not destroyed. */
  readonly alive = new Set<GPUBuffer>();
  private readonly scopes: Scope[] = [];
  private readonly listener = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault();
    this.uncaptured.push(event.error.message);
  };

  constructor(readonly device: GPUDevice) {
    device.addEventListener('uncapturederror', this.listener as EventListener);
    const { prototype } = GPUDevice;
    const own = {
      createBuffer: (descriptor: GPUBufferDescriptor) => this.createBuffer(descriptor),
      createComputePipelineAsync: async (descriptor: GPUComputePipelineDescriptor) => {
        const label = `${descriptor.label} ${descriptor.compute.module.label}`;
        if (!this.hits('pipeline', label))
          return prototype.createComputePipelineAsync.call(device, descriptor);
        const error = new Error('The compiler gave up, by order of a test.');
        throw Object.assign(error, { name: 'GPUPipelineError', reason: 'internal' });
      },
      pushErrorScope: (filter: GPUErrorFilter) => {
        this.scopes.push({ filter, injected: undefined });
        prototype.pushErrorScope.call(device, filter);
      },
      popErrorScope: () => {
        const scope = this.scopes.pop();
        const real = prototype.popErrorScope.call(device);
        return scope?.injected ? real.then(() => scope.injected as GPUError) : real;
      },
    };
    for (const [name, value] of Object.entries(own))
      Object.defineProperty(device, name, { value, configurable: true, writable: true });
  }

  /** Nothing fails any more. Waits until the device has told all of its errors. */
  async settle(): Promise<void> {
    this.plan = {};
    await this.device.queue.onSubmittedWorkDone();
    // An error is told by an event of its own.
    await new Promise((resolve) => setTimeout(resolve));
  }

  remove(): void {
    for (const name of ['createBuffer', 'createComputePipelineAsync', 'pushErrorScope', 'popErrorScope'])
      delete (this.device as unknown as Record<string, unknown>)[name];
    this.device.removeEventListener('uncapturederror', this.listener as EventListener);
  }

  private hits(kind: FaultKind, label: string): boolean {
    const n = this.counts[kind]++;
    const hit = this.plan[kind]?.(n, label) ?? false;
    if (hit) this.failed.push(`${kind} ${label}`);
    return hit;
  }

  private createBuffer(descriptor: GPUBufferDescriptor): GPUBuffer {
    const { device } = this;
    const { createBuffer, pushErrorScope, popErrorScope } = GPUDevice.prototype;
    const hit = this.hits('buffer', descriptor.label ?? `${descriptor.size} bytes`);
    if (!hit) return this.watched(createBuffer.call(device, descriptor));
    if (descriptor.mappedAtCreation)
      throw new RangeError('createBuffer failed: there is no memory to map, by order of a test.');
    // A use that is not allowed makes the buffer invalid. Its error is not the one that is to be seen.
    pushErrorScope.call(device, 'validation');
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE;
    const buffer = createBuffer.call(device, { size: descriptor.size, usage });
    void popErrorScope.call(device);
    const error = { message: 'Out of memory, by order of a test.' };
    const scope = this.scopes.findLast(({ filter }) => filter === 'out-of-memory');
    if (!scope) this.uncaptured.push(`${error.message} (${descriptor.label ?? descriptor.size})`);
    else scope.injected ??= error;
    return this.watched(buffer);
  }

  private watched(buffer: GPUBuffer): GPUBuffer {
    const { mapAsync, destroy } = GPUBuffer.prototype;
    this.alive.add(buffer);
    buffer.mapAsync = (...args) => {
      if (!this.hits('map', buffer.label || `${buffer.size} bytes`)) return mapAsync.apply(buffer, args);
      return Promise.reject(new DOMException('It cannot be mapped, by order of a test.', 'OperationError'));
    };
    buffer.destroy = () => {
      this.alive.delete(buffer);
      return destroy.call(buffer);
    };
    return buffer;
  }
}
