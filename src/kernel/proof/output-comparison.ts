import type { AttentionShape } from '../shape.ts';
import { assembleComparison } from '../text/assemble.ts';

const WORKGROUP_SIZE = 64;

/** The comparisons that each device has compiled, by their text. */
const compiled = new WeakMap<GPUDevice, Map<string, GPUComputePipeline>>();

/**
 * Compares attention outputs of one sequence on the GPU. It proves that our kernels and the runtime's agree
 * on the model's real data.
 */
export class OutputComparison {
  private constructor(
    private readonly device: GPUDevice,
    private readonly pipeline: GPUComputePipeline,
    private readonly result: GPUBuffer,
  ) {}

  /**
   * Compiles the comparison for a shape, once on a device.
   * @throws {GPUPipelineError} if the device rejects it
   */
  static async create(device: GPUDevice, shape: AttentionShape): Promise<OutputComparison> {
    const onDevice = compiled.get(device) ?? new Map<string, GPUComputePipeline>();
    compiled.set(device, onDevice);
    const code = assembleComparison(shape, WORKGROUP_SIZE);
    let pipeline = onDevice.get(code);
    if (!pipeline) {
      const module = device.createShaderModule({ label: 'sift compare', code });
      pipeline = await device.createComputePipelineAsync({
        layout: 'auto',
        compute: { module, entryPoint: 'main' },
      });
      onDevice.set(code, pipeline);
    }
    const result = device.createBuffer({
      size: 8,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
    });
    return new OutputComparison(device, pipeline, result);
  }

  /** Encodes the comparison of two outputs, each [1, queryHeads, headSize] in the shape's `dtype`. */
  encode(pass: GPUComputePassEncoder, ours: GPUBufferBinding, other: GPUBufferBinding): void {
    const group = this.device.createBindGroup({
      layout: this.pipeline.getBindGroupLayout(0),
      entries: [ours, other, { buffer: this.result }].map((resource, binding) => ({ binding, resource })),
    });
    pass.setPipeline(this.pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
  }

  /**
   * The largest difference over all comparisons, divided by the largest element of the other outputs; and
   * that element. If one of these is infinite or no number, the difference is as large as that. It can be called once: it
   * destroys the result.
   */
  async read(): Promise<{ relative: number; largest: number }> {
    const staging = this.device.createBuffer({
      size: 8,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.result, 0, staging, 0, 8);
    this.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const [difference = Number.NaN, largest = Number.NaN] = new Float32Array(
      staging.getMappedRange().slice(0),
    );
    staging.destroy();
    this.result.destroy();
    // Divided by an infinite element, every difference would be 0.
    const scale = largest > 0 && Number.isFinite(largest) ? largest : 1;
    return { relative: difference / scale, largest };
  }

  destroy(): void {
    this.result.destroy();
  }
}
