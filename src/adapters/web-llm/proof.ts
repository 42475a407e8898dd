import { OutputComparison } from '../../kernel/proof/output-comparison.ts';
import type { AttentionShape } from '../../kernel/shape.ts';

/** Difference from the runtime's own attention that is rounding, over the largest output. */
const BOUND = { f32: 1e-4, f16: 2e-2 } as const;

/**
 * Holds our dense attention against the runtime's, on the model's real data: in the first decode step after loading, both run in
 * every layer, and the runtime's result is used.
 */
export class Proof {
  readonly output: GPUBuffer;
  readonly lse: GPUBuffer;

  private constructor(
    private readonly shape: AttentionShape,
    private readonly comparison: OutputComparison,
    device: GPUDevice,
  ) {
    this.output = device.createBuffer({
      label: 'sift proof',
      size: Math.ceil((shape.queryHeads * shape.headSize * 4) / 16) * 16,
      usage: GPUBufferUsage.STORAGE,
    });
    this.lse = device.createBuffer({
      label: 'sift proof',
      size: shape.queryHeads * 4,
      usage: GPUBufferUsage.STORAGE,
    });
  }

  static async create(device: GPUDevice, shape: AttentionShape): Promise<Proof> {
    return new Proof(shape, await OutputComparison.create(device, shape), device);
  }

  compare(pass: GPUComputePassEncoder, theirs: GPUBufferBinding): void {
    this.comparison.encode(pass, { buffer: this.output }, theirs);
  }

  /** Call when all comparisons have been submitted. Returns what is wrong, or undefined. */
  async verdict(): Promise<string | undefined> {
    const { relative, largest } = await this.comparison.read();
    this.output.destroy();
    this.lse.destroy();
    const bound = BOUND[this.shape.dtype];
    if (relative <= bound && largest > 0) return undefined;
    return `SELF_TEST_FAILED: in the first decode step our dense attention differed from the runtime's by ${relative.toExponential(2)} of the largest output (${largest.toExponential(2)}); allowed: ${bound}`;
  }
}
