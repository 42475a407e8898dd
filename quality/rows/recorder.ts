import { observe, removeAll } from '../../lab/webgpu-calls/observe.ts';
import { type Interception, intercept } from '../../src/adapters/shared/interception.ts';
import { AttentionEncoder, type LayerInputs, type PreparedStep } from '../../src/kernel/step/encoder.ts';
import type { LayerState } from '../../src/kernel/step/layer-state.ts';

/** One layer of a step of the model. */
export interface RecordedLayer {
  encoder: AttentionEncoder;
  step: PreparedStep;
  state: LayerState;
  q: GPUBuffer;
  /** What the model's own step put out. */
  output?: GPUBuffer;
}

const COPY = `@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> copy: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&copy)) { copy[id.x] = source[id.x]; }
}`;

/** Keeps q and the output of every layer of a step, from inside the runtime's own compute pass. */
export class Recorder {
  calls: RecordedLayer[] = [];
  recording = false;
  private readonly pipeline: GPUComputePipeline;
  private readonly interceptions: Interception[];

  constructor(private readonly device: GPUDevice) {
    this.pipeline = device.createComputePipeline({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code: COPY }) },
    });
    const { prototype } = AttentionEncoder;
    const recorder = this;
    this.interceptions = [
      intercept(
        prototype,
        'attend',
        (original, interception) =>
          function (this: AttentionEncoder, pass, step, layer, state) {
            if (interception.active && recorder.recording) recorder.record(this, pass, step, layer, state);
            return original.call(this, pass, step, layer, state);
          },
      ),
      observe(prototype, 'combine', (_, [pass, , output, state], { shape }) => {
        const call = this.recording && this.calls.find((c) => c.state === state && !c.output);
        if (call) call.output = this.copy(pass, output, shape.queryHeads * shape.headSize * 4);
      }),
    ];
  }

  private copy(pass: GPUComputePassEncoder, from: GPUBufferBinding, size: number): GPUBuffer {
    const buffer = this.device.createBuffer({
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
    });
    const group = this.device.createBindGroup({
      layout: this.pipeline.getBindGroupLayout(0),
      entries: [
        { binding: 0, resource: { buffer: from.buffer, offset: from.offset ?? 0, size } },
        { binding: 1, resource: { buffer } },
      ],
    });
    pass.setPipeline(this.pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(Math.ceil(size / 256));
    return buffer;
  }

  private record(
    encoder: AttentionEncoder,
    pass: GPUComputePassEncoder,
    step: PreparedStep,
    layer: LayerInputs,
    state: LayerState,
  ): void {
    const { queryHeads, headSize } = encoder.shape;
    const q = this.copy(pass, layer.q, queryHeads * headSize * 4);
    this.calls.push({ encoder, step, state, q });
  }

  restore(): void {
    removeAll(this.interceptions);
  }
}
