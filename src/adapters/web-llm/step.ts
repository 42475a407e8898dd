import type { AttentionEncoder, PreparedStep } from '../../kernel/step/encoder.ts';
import type { StepPlan } from '../../policy/index.ts';
import type { CacheState } from '../cache-state.ts';
import type { Launch } from './engine.ts';
import { type PagedCall, readPagedCall } from './paged-call.ts';
import type { Proof } from './proof.ts';
import { encodePass, type Registration } from './trampoline.ts';

/** Routes the attention of one decode step to our kernels; what is not understood keeps the runtime's, with the reason noted. */
export class PagedStep {
  /** Layers that went through our kernels. */
  readonly attended = new Set<number>();
  readonly reasons = new Set<string>();
  /** Every row is read because the step is shorter than the crossover. */
  short = false;
  /** Launches of the decode attention, and of the kernel that appends K and V. */
  launches = 0;
  appended = 0;
  private readonly prepared = new Map<number, PreparedStep>();

  /**
   * @param layers layer by the buffer of its pages, in the order in which they were first seen
   * @param length keys in the cache, the new token's included
   * @param proof compare with the runtime's kernel instead of replacing it
   */
  constructor(
    private readonly registration: Registration,
    private readonly encoder: AttentionEncoder,
    private readonly cache: CacheState,
    private readonly layers: Map<GPUBuffer, number>,
    private readonly zero: GPUBuffer,
    readonly plan: StepPlan,
    readonly length: number,
    readonly proof: Proof | undefined,
  ) {}

  attend(args: readonly number[], stock: Launch): void {
    this.launches++;
    const call = this.guard(() => this.encode(args));
    if (!call) {
      stock(...args);
      return;
    }
    const { proof } = this;
    if (!proof) return;
    stock(...args);
    this.guard(() => encodePass(this.registration.context, (pass) => proof.compare(pass, call.output)));
  }

  /** A throw inside a launch would end the library's program. */
  private guard<T>(encode: () => T | string): T | undefined {
    try {
      const result = encode();
      if (typeof result !== 'string') return result;
      this.reasons.add(result);
    } catch (error) {
      this.reasons.add(`encoding failed: ${error instanceof Error ? error.message : error}`);
    }
    return undefined;
  }

  private encode(args: readonly number[]): PagedCall | string {
    const { context, program } = this.registration;
    const call = readPagedCall(program, args, context, this.length);
    if (typeof call === 'string') return call;
    const layer = this.layers.get(call.pages.buffer) ?? this.layers.size;
    if (this.attended.has(layer)) return 'a layer attends twice in a step (a sequence in several parts)';
    const { encoder } = this;
    const step = this.prepare(call);
    const state = this.cache.layer(layer, program.shape);
    const inputs = { q: call.q, keys: call.pages, values: call.pages, pageTable: call.table };
    const output = this.proof ? { buffer: this.proof.output } : call.output;
    const lse = this.proof ? { buffer: this.proof.lse } : call.lse;
    encodePass(context, (pass) => {
      encoder.attend(pass, step, inputs, state);
      encoder.combine(pass, step, output, state, lse);
    });
    this.layers.set(call.pages.buffer, layer);
    this.attended.add(layer);
    return call;
  }

  /** Parameters are written at once but read when the batch is submitted: a slot of the ring for every step and scale. */
  private prepare(call: PagedCall): PreparedStep {
    const known = this.prepared.get(call.scale);
    if (known && known.capacity === call.tableOffset) return known;
    const step = this.encoder.prepare({
      batch: 1,
      lengths: { buffer: this.zero },
      lengthBias: this.length,
      maxLength: this.length,
      capacity: call.tableOffset,
      scale: call.scale,
      policy: this.cache.policy,
      plan: this.plan,
    });
    this.short = step.plan.dense && !this.plan.dense;
    this.prepared.set(call.scale, step);
    return step;
  }
}
