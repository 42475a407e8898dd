import { allocate, readBack } from '../gpu/allocate.ts';
import { compilePipeline } from '../gpu/compile.ts';
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
   * @throws {SiftError} `SELF_TEST_FAILED` if the device rejects it, `OUT_OF_MEMORY`, `DEVICE_LOST`
   */
  static async create(device: GPUDevice, shape: AttentionShape): Promise<OutputComparison> {
    const onDevice = compiled.get(device) ?? new Map<string, GPUComputePipeline>();
    compiled.set(device, onDevice);
    const code = assembleComparison(shape, WORKGROUP_SIZE);
    let pipeline = onDevice.get(code);
    if (!pipeline) {
      pipeline = await compilePipeline(device, 'compare', code);
      onDevice.set(code, pipeline);
    }
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
    const [result] = await allocate(device, 'A comparison needs', 0, () => [
      device.createBuffer({ size: 8, usage }),
    ]);
    return new OutputComparison(device, pipeline, result!);
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
   * that element. If one of these is infinite or no number, the difference is as large as that.
   * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
   */
  async read(): Promise<{ relative: number; largest: number }> {
    const data = await readBack(this.device, [{ buffer: this.result, bytes: 8 }]);
    const [difference = Number.NaN, largest = Number.NaN] = new Float32Array(data);
    // Divided by an infinite element, every difference would be 0.
    const scale = largest > 0 && Number.isFinite(largest) ? largest : 1;
    return { relative: difference / scale, largest };
  }

  destroy(): void {
    this.result.destroy();
  }
}
