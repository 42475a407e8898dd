import type { AttentionEncoder, PreparedStep } from './encoder.ts';
import { assembleLogSumExp } from './wgsl.ts';

/** Writes the base-2 log-sum-exp of every head's scores, f32 [queryHeads], from what `attend` left. Batch 1. */
export class LogSumExp {
  private constructor(
    private readonly encoder: AttentionEncoder,
    private readonly pipeline: GPUComputePipeline,
  ) {}

  static async create(encoder: AttentionEncoder): Promise<LogSumExp> {
    const { device } = encoder.resources;
    const label = 'sift log-sum-exp';
    const module = device.createShaderModule({ label, code: assembleLogSumExp(encoder.shape) });
    const pipeline = await device.createComputePipelineAsync({
      label,
      layout: 'auto',
      compute: { module, entryPoint: 'main' },
    });
    return new LogSumExp(encoder, pipeline);
  }

  encode(pass: GPUComputePassEncoder, step: PreparedStep, lse: GPUBufferBinding): void {
    const { device, params } = this.encoder.resources;
    const group = device.createBindGroup({
      layout: this.pipeline.getBindGroupLayout(0),
      entries: [
        { binding: 0, resource: { buffer: params.buffer, offset: step.paramsOffset, size: 64 } },
        { binding: 1, resource: this.encoder.partials(step) },
        { binding: 2, resource: lse },
      ],
    });
    pass.setPipeline(this.pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
  }
}
