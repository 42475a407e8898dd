import type { AttentionShape } from '../../src/kernel/shape.ts';
import { stockLaunchDimensions, stockPagedKernel } from '../../src/testing/web-llm/stock-kernel.ts';
import type { Variant } from '../timing/timing.ts';
import { PAGE_SIZE, type PagedSet, TABLE } from './pages.ts';

/** A kernel of ours on web-llm's grid, which has one workgroup for every KV head. */
export class StockPaged implements Variant {
  readonly name = 'stock';

  private constructor(
    private readonly pipeline: GPUComputePipeline,
    private readonly groups: readonly GPUBindGroup[],
    private readonly kvHeads: number,
  ) {}

  static async create(
    device: GPUDevice,
    shape: AttentionShape,
    length: number,
    sets: readonly PagedSet[],
    output: GPUBuffer,
  ): Promise<StockPaged> {
    const { info, code } = stockPagedKernel(shape, PAGE_SIZE);
    const pipeline = await device.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code }), entryPoint: info.name },
    });
    const pods = new DataView(new ArrayBuffer(56));
    const pages = length / PAGE_SIZE;
    const scalars = [1, TABLE.zero, TABLE.lengths, pages, pages, TABLE.indptr, TABLE.values, 0, TABLE.zero];
    for (const [i, value] of scalars.entries()) pods.setInt32(4 * i, value, true);
    pods.setFloat32(36, 1, true);
    pods.setFloat32(40, 10000, true);
    pods.setFloat32(48, 1 / Math.sqrt(shape.headSize), true);
    pods.setUint32(52, 1, true);
    const podArgs = device.createBuffer({
      size: 56,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(podArgs, 0, pods.buffer);
    const lse = device.createBuffer({ size: shape.queryHeads * 4, usage: GPUBufferUsage.STORAGE });
    // The rope bindings (1 and 8) are not used by this kernel.
    const groups = sets.map(({ q, pages: cache, table }) =>
      device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: Object.entries({
          0: q,
          2: table,
          3: lse,
          4: output,
          5: table,
          6: table,
          7: cache,
          9: podArgs,
        }).map(([binding, buffer]) => ({ binding: Number(binding), resource: { buffer } })),
      }),
    );
    return new StockPaged(pipeline, groups, stockLaunchDimensions(shape)[1]);
  }

  encode(pass: GPUComputePassEncoder, call: number): void {
    pass.setPipeline(this.pipeline);
    pass.setBindGroup(0, this.groups[call % this.groups.length]!);
    pass.dispatchWorkgroups(1, this.kvHeads);
  }
}
