/** Timestamps that a step may have: two for every dispatch. */
const MOST = 2048;

/** Names of pipelines, which their bind groups do not tell. */
const labels = new WeakMap<GPUComputePipeline, string>();

/** Notes the names of pipelines from now on. Call it before the runtime makes any. */
export function watchLabels(): void {
  const of = ({ label, compute }: GPUComputePipelineDescriptor): string =>
    label || compute.module.label || '?';
  const { createComputePipeline, createComputePipelineAsync } = GPUDevice.prototype;
  GPUDevice.prototype.createComputePipeline = function (descriptor) {
    const pipeline = createComputePipeline.call(this, descriptor);
    labels.set(pipeline, of(descriptor));
    return pipeline;
  };
  GPUDevice.prototype.createComputePipelineAsync = async function (descriptor) {
    const pipeline = await createComputePipelineAsync.call(this, descriptor);
    labels.set(pipeline, of(descriptor));
    return pipeline;
  };
}

/** What the kernels of a step are for. */
function kindOf(label: string): string {
  if (/^CopyKVCache/.test(label)) return 'KV copies';
  if (/^sift (moments|encode|learn)/.test(label)) return 'measuring the cache';
  if (/^sift |Attention|Softmax/i.test(label)) return 'attention';
  return 'all else';
}

/**
 * Times what the GPU does in some steps. Every dispatch gets a compute pass of its own for it, with a timestamp at either end, so that the
 * steps themselves take longer meanwhile.
 */
export class GpuTimes {
  private query: GPUQuerySet | undefined;
  private names: string[] = [];
  private readonly sums = new Map<string, number>();
  private steps = 0;
  private pending: Promise<void> = Promise.resolve();
  private readonly begin = GPUCommandEncoder.prototype.beginComputePass;

  /** @param device - with the feature `timestamp-query` */
  constructor(private readonly device: GPUDevice) {
    const times = this;
    GPUCommandEncoder.prototype.beginComputePass = function (descriptor) {
      return times.query
        ? (new SplitPass(times, this, descriptor) as unknown as GPUComputePassEncoder)
        : times.begin.call(this, descriptor);
    };
  }

  /** The commands that are encoded from now on are a step's. */
  startStep(): void {
    this.query = this.device.createQuerySet({ type: 'timestamp', count: 2 * MOST });
    this.names = [];
  }

  /** The step has been submitted. */
  endStep(): void {
    const { query, names } = this;
    this.query = undefined;
    if (query) this.pending = this.pending.then(() => this.read(query, names));
  }

  /** Milliseconds of a step by the kind of kernel. Takes the hooks away. */
  async finish(): Promise<Record<string, number>> {
    this.endStep();
    GPUCommandEncoder.prototype.beginComputePass = this.begin;
    await this.pending;
    return Object.fromEntries([...this.sums].map(([kind, sum]) => [kind, sum / Math.max(1, this.steps)]));
  }

  /** Begins a pass for one dispatch. */
  beginPass(
    encoder: GPUCommandEncoder,
    descriptor: GPUComputePassDescriptor | undefined,
    pipeline: GPUComputePipeline,
  ): GPUComputePassEncoder {
    const at = 2 * this.names.length;
    if (!this.query || at >= 2 * MOST) return this.begin.call(encoder, descriptor);
    this.names.push(labels.get(pipeline) ?? '?');
    const timestampWrites = {
      querySet: this.query,
      beginningOfPassWriteIndex: at,
      endOfPassWriteIndex: at + 1,
    };
    return this.begin.call(encoder, { ...descriptor, timestampWrites });
  }

  private async read(query: GPUQuerySet, names: readonly string[]): Promise<void> {
    const { device } = this;
    const size = 16 * names.length;
    if (size > 0) {
      const resolved = device.createBuffer({
        size,
        usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
      });
      const mapped = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
      const encoder = device.createCommandEncoder();
      encoder.resolveQuerySet(query, 0, 2 * names.length, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, mapped, 0, size);
      device.queue.submit([encoder.finish()]);
      await mapped.mapAsync(GPUMapMode.READ);
      const stamps = new BigUint64Array(mapped.getMappedRange());
      names.forEach((name, i) => {
        const ms = Number(stamps[2 * i + 1]! - stamps[2 * i]!) / 1e6;
        const kind = kindOf(name);
        this.sums.set(kind, (this.sums.get(kind) ?? 0) + ms);
      });
      this.steps++;
      mapped.destroy();
      resolved.destroy();
    }
    query.destroy();
  }
}

/** Stands for a compute pass, and makes one for every dispatch. */
class SplitPass {
  private pipeline: GPUComputePipeline | undefined;
  private readonly groups: [number, GPUBindGroup | null, ...unknown[]][] = [];

  constructor(
    private readonly times: GpuTimes,
    private readonly encoder: GPUCommandEncoder,
    private readonly descriptor: GPUComputePassDescriptor | undefined,
  ) {}

  setPipeline(pipeline: GPUComputePipeline): void {
    this.pipeline = pipeline;
  }

  setBindGroup(
    index: number,
    group: GPUBindGroup | null,
    offsets?: Iterable<number>,
    start = 0,
    length?: number,
  ): void {
    // The array of offsets is the caller's, who writes others into it.
    const all = offsets ? [...offsets] : undefined;
    this.groups[index] = all
      ? [index, group, all.slice(start, length === undefined ? undefined : start + length)]
      : [index, group];
  }

  dispatchWorkgroups(x: number, y = 1, z = 1): void {
    this.inPass((pass) => pass.dispatchWorkgroups(x, y, z));
  }

  dispatchWorkgroupsIndirect(buffer: GPUBuffer, offset: number): void {
    this.inPass((pass) => pass.dispatchWorkgroupsIndirect(buffer, offset));
  }

  pushDebugGroup(): void {}
  popDebugGroup(): void {}
  insertDebugMarker(): void {}
  end(): void {}

  private inPass(dispatch: (pass: GPUComputePassEncoder) => void): void {
    const pass = this.times.beginPass(this.encoder, this.descriptor, this.pipeline!);
    pass.setPipeline(this.pipeline!);
    for (const group of this.groups) {
      if (group) (pass.setBindGroup as (...args: unknown[]) => void)(...group);
    }
    dispatch(pass);
    pass.end();
  }
}
