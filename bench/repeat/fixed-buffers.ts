import type { OrtModule } from '../../lab/node/onnxruntime.ts';
import type { OrtSession, OrtTensor } from '../../src/adapters/transformers/runtime.ts';
import { GRAPH_READY } from './graph-ready-model.ts';

/** Rows of the KV cache, and columns of the attention mask. */
const CAPACITY = 128;
const WIDTH = GRAPH_READY.heads * GRAPH_READY.headSize;

/** The inputs and outputs of a graph-ready decoder in buffers that stay the same from step to step, as graph capture wants them. */
export class FixedBuffers {
  private readonly ids: GPUBuffer;
  private readonly mask: GPUBuffer;
  private readonly logits: GPUBuffer;
  private readonly feeds: Record<string, OrtTensor>;
  private readonly fetches: Record<string, OrtTensor>;

  constructor(
    ort: OrtModule,
    private readonly device: GPUDevice,
  ) {
    this.ids = this.buffer(8);
    this.mask = this.buffer(8 * CAPACITY);
    this.logits = this.buffer(4 * WIDTH);
    const tensor = (buffer: GPUBuffer, dataType: 'int64' | 'float32', dims: number[]) =>
      ort.Tensor.fromGpuBuffer(buffer as never, { dataType, dims }) as unknown as OrtTensor;
    const [key, value] = [0, 1].map(() =>
      tensor(this.buffer(4 * CAPACITY * WIDTH), 'float32', [
        1,
        GRAPH_READY.heads,
        CAPACITY,
        GRAPH_READY.headSize,
      ]),
    ) as [OrtTensor, OrtTensor];
    this.feeds = {
      input_ids: tensor(this.ids, 'int64', [1, 1]),
      attention_mask: tensor(this.mask, 'int64', [1, CAPACITY]),
      'past_key_values.0.key': key,
      'past_key_values.0.value': value,
    };
    const logits = tensor(this.logits, 'float32', [1, 1, WIDTH]);
    this.fetches = { logits, 'present.0.key': key, 'present.0.value': value };
  }

  /** Decodes from an empty cache. Returns the logits of all steps, one after another. */
  async decode(
    session: OrtSession,
    steps: number,
    around: (run: () => Promise<unknown>) => Promise<unknown> = (run) => run(),
  ): Promise<number[]> {
    const { queue } = this.device;
    const logits: number[] = [];
    for (let step = 0; step < steps; step++) {
      queue.writeBuffer(this.ids, 0, BigInt64Array.of(BigInt((step * 7) % GRAPH_READY.vocabulary)));
      queue.writeBuffer(
        this.mask,
        0,
        BigInt64Array.from({ length: CAPACITY }, (_, i) => BigInt(i <= step)),
      );
      await around(() => session.run(this.feeds, this.fetches));
      logits.push(...(await this.read()));
    }
    return logits;
  }

  private async read(): Promise<Float32Array> {
    const size = this.logits.size;
    const staging = this.device.createBuffer({
      size,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.logits, 0, staging, 0, size);
    this.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const values = new Float32Array(staging.getMappedRange().slice(0));
    staging.destroy();
    return values;
  }

  private buffer(size: number): GPUBuffer {
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    return this.device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
  }
}
