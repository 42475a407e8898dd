import { runtimeDevice } from '../../lab/decoding/decoder.ts';
import type { OrtModule } from '../../lab/node/onnxruntime.ts';
import { copySharedWrites } from '../../lab/node/shared-memory.ts';
import type { CapturedDispatch } from '../../lab/webgpu-calls/captured-dispatch.ts';
import { DispatchRecorder } from '../../lab/webgpu-calls/dispatch-recorder.ts';
import type { AttentionShape } from '../../src/kernel/shape.ts';
import { attentionModel } from './attention-model.ts';

/** How the labels of the runtime's programs for a decode step's attention begin. */
const LABEL = 'FlashAttentionDecode';

/** Captures what onnxruntime-web dispatches for the attention of a decode step, while it runs in this process. */
export class StockCapture {
  private readonly sharedWrites = copySharedWrites();
  private readonly recorder = new DispatchRecorder((label) => label.startsWith(LABEL));

  /** Captures everything from now on, until {@link stop}. The runtime must not have compiled its programs yet. */
  constructor(private readonly ort: OrtModule) {}

  /**
   * The attention programs of a decode step with `length` keys in the cache, the new one included.
   * @throws {Error} if the runtime does not run its flash decode programs.
   */
  async decodeStep(shape: AttentionShape, length: number): Promise<CapturedDispatch[]> {
    const { ort, recorder } = this;
    const session = await ort.InferenceSession.create(attentionModel(shape), {
      executionProviders: ['webgpu'],
      preferredOutputLocation: 'gpu-buffer',
    });
    const device = await runtimeDevice(ort.env);
    const { inputs, destroy } = stepInputs(ort, device, shape, length);
    recorder.begin();
    const results = await session.run(inputs);
    await device.queue.onSubmittedWorkDone();
    for (const tensor of Object.values(results)) tensor.dispose();
    await session.release();
    destroy();
    const { dispatches, labels } = recorder;
    if (dispatches.length !== 2) {
      throw new Error(`The runtime did not run its two decode programs, but: ${labels.join(', ')}`);
    }
    return dispatches;
  }

  /** Takes the interceptions of the runtime's calls away. */
  stop(): void {
    this.recorder.stop();
    this.sharedWrites.remove();
  }
}

/** Inputs of the attention model: a new row of one half everywhere, and a cache on the GPU that nobody has written to. */
function stepInputs(ort: OrtModule, device: GPUDevice, shape: AttentionShape, length: number) {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const type = dtype === 'f16' ? 'float16' : 'float32';
  const dims = [1, kvHeads, length - 1, headSize];
  const bytes = Math.ceil((kvHeads * (length - 1) * headSize * (dtype === 'f16' ? 2 : 4)) / 16) * 16;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffers = [0, 1].map(() => device.createBuffer({ size: bytes, usage }));
  const [pastKey, pastValue] = buffers.map((buffer) =>
    ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims }),
  );
  const row = (heads: number) => {
    const size = heads * headSize;
    return dtype === 'f16'
      ? new ort.Tensor('float16', new Uint16Array(size).fill(0x3800), [1, 1, size])
      : new ort.Tensor('float32', new Float32Array(size).fill(0.5), [1, 1, size]);
  };
  return {
    inputs: {
      query: row(queryHeads),
      key: row(kvHeads),
      value: row(kvHeads),
      past_key: pastKey!,
      past_value: pastValue!,
      seqlens_k: new ort.Tensor('int32', Int32Array.of(length - 1), [1]),
      total_length: new ort.Tensor('int32', Int32Array.of(length), []),
    },
    destroy: () => {
      for (const buffer of buffers) buffer.destroy();
    },
  };
}
