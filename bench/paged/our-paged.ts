import { upload } from '../../src/kernel/gpu/transfer.ts';
import type { AttentionEncoder, PreparedStep } from '../../src/kernel/step/encoder.ts';
import { LayerState } from '../../src/kernel/step/layer-state.ts';
import { planStep, type ThresholdPolicy } from '../../src/policy/index.ts';
import type { Variant } from '../timing/timing.ts';
import { type PagedSet, TABLE } from './pages.ts';

/** Our kernels as the web-llm adapter encodes them: they write the log-sum-exp, too. */
export class OurPaged implements Variant {
  readonly states: LayerState[];
  private step: PreparedStep | undefined;
  private readonly zero: GPUBuffer;

  constructor(
    readonly name: string,
    private readonly encoder: AttentionEncoder,
    readonly policy: ThresholdPolicy,
    private readonly length: number,
    private readonly sets: readonly PagedSet[],
    private readonly output: GPUBuffer,
    private readonly lse: GPUBuffer,
  ) {
    const { device } = encoder.resources;
    // Every set of inputs stands for a layer.
    this.states = sets.map(() => new LayerState(device, encoder.shape, 1, policy));
    this.zero = upload(device, [0], 'i32');
  }

  /** Runs the first step of a request on every set: in it the moments of V are measured. */
  first(): void {
    const { device } = this.encoder.resources;
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    this.begin(1);
    for (let call = 0; call < this.sets.length; call++) this.encode(pass, call);
    pass.end();
    device.queue.submit([commands.finish()]);
  }

  begin(step = 2): void {
    const { encoder } = this;
    this.step = encoder.prepare({
      ...{ batch: 1, lengths: { buffer: this.zero }, lengthBias: this.length, maxLength: this.length },
      ...{ capacity: TABLE.values, scale: 1 / Math.sqrt(encoder.shape.headSize) },
      ...{ policy: this.policy, plan: planStep(this.policy, step) },
    });
  }

  encode(pass: GPUComputePassEncoder, call: number): void {
    const { encoder } = this;
    const at = call % this.sets.length;
    const { q, pages, table } = this.sets[at]!;
    const cache = { buffer: pages };
    const inputs = { q: { buffer: q }, keys: cache, values: cache, pageTable: { buffer: table } };
    encoder.attend(pass, this.step!, inputs, this.states[at]!);
    encoder.combine(pass, this.step!, { buffer: this.output }, this.states[at]!, { buffer: this.lse });
  }

  destroy(): void {
    for (const state of this.states) state.destroy();
    this.zero.destroy();
  }
}
