import type { AttentionEncoder, PreparedStep } from '../../kernel/step/encoder.ts';
import type { Conversation, StepAccount } from '../shared/conversation.ts';
import type { StockComparison } from '../shared/stock-comparison.ts';
import type { Launch } from './engine.ts';
import { type PagedCall, readPagedCall } from './paged-call.ts';
import { encodePass, type Registration } from './trampoline.ts';

/** Layer by the buffer of its pages, in the order in which they were first seen. */
export type PagedLayers = Map<GPUBuffer, number>;

/** What the launches of a decode step's attention are given to. */
export abstract class PagedStep {
  /** Launches of the decode attention, and of the kernel that appends K and V. */
  launches = 0;
  appended = 0;

  constructor(
    protected readonly registration: Registration,
    protected readonly zero: GPUBuffer,
    readonly account: StepAccount,
  ) {}

  /** A launch of the decode attention: does it, or has the runtime do it. Never throws: that would end the library's program. */
  abstract attend(args: readonly number[], stock: Launch): void;

  /** The arguments of a launch, or why they are not as expected. */
  protected read(args: readonly number[]): PagedCall | string {
    const { context, program } = this.registration;
    return readPagedCall(program, args, context, this.account.length);
  }

  /** What a step of one sequence has in common for all layers. */
  protected inputs({ tableOffset, scale }: PagedCall) {
    const { length } = this.account;
    return {
      batch: 1,
      lengths: { buffer: this.zero },
      lengthBias: length,
      maxLength: length,
      capacity: tableOffset,
      scale,
    };
  }

  /** Runs something of ours; what it throws or returns as text is noted as a reason. */
  protected guard(encode: () => string | undefined): boolean {
    let reason: string | undefined;
    try {
      reason = encode();
    } catch (error) {
      reason = `encoding failed: ${error instanceof Error ? error.message : error}`;
    }
    if (reason !== undefined) this.account.reasons.add(reason);
    return reason === undefined;
  }
}

/** Our tensors of a layer. */
const tensors = (call: PagedCall) => ({
  q: call.q,
  keys: call.pages,
  values: call.pages,
  pageTable: call.table,
});

/** Routes the attention of a decode step to our kernels; what is not understood keeps the runtime's, with the reason noted. */
export class RoutedStep extends PagedStep {
  private readonly prepared: PreparedStep[] = [];

  constructor(
    registration: Registration,
    zero: GPUBuffer,
    account: StepAccount,
    private readonly encoder: AttentionEncoder,
    private readonly conversation: Conversation,
    private readonly layers: ReadonlyMap<GPUBuffer, number>,
  ) {
    super(registration, zero, account);
  }

  attend(args: readonly number[], stock: Launch): void {
    this.launches++;
    if (!this.guard(() => this.encode(args))) stock(...args);
  }

  private encode(args: readonly number[]): string | undefined {
    const call = this.read(args);
    if (typeof call === 'string') return call;
    const { encoder, account, conversation } = this;
    const layer = this.layers.get(call.pages.buffer);
    const state = layer === undefined ? undefined : conversation.layers.get(layer);
    if (layer === undefined || !state) return "a layer was not held against the runtime's attention";
    if (account.attended.has(layer)) return 'a layer attends twice in a step (a sequence in several parts)';
    const step = this.prepare(call);
    encodePass(this.registration.context, (pass) => {
      encoder.attend(pass, step, tensors(call), state);
      encoder.combine(pass, step, call.output, state, call.lse);
    });
    account.attend(layer, step.plan.dense, encoder.siftFrom);
    return undefined;
  }

  /** Parameters are written at once but read when the batch is submitted: a slot of the ring for every step and scale. */
  private prepare(call: PagedCall): PreparedStep {
    const known = this.prepared.find(
      (step) => step.scale === call.scale && step.capacity === call.tableOffset,
    );
    if (known) return known;
    const { policy } = this.conversation;
    const step = this.encoder.prepare({ ...this.inputs(call), policy, plan: this.account.plan });
    this.prepared.push(step);
    return step;
  }
}

/**
 * The first decode step after loading: the runtime's attention runs, and ours beside it into buffers of its own, to be compared, in every
 * layer. What ours assumes of a library that nobody has seen is proved by it.
 */
export class ComparedStep extends PagedStep {
  /** Layers that were compared. */
  readonly layers: PagedLayers = new Map();

  constructor(
    registration: Registration,
    zero: GPUBuffer,
    account: StepAccount,
    private readonly comparison: StockComparison,
  ) {
    super(registration, zero, account);
  }

  attend(args: readonly number[], stock: Launch): void {
    this.launches++;
    stock(...args);
    this.guard(() => {
      const call = this.read(args);
      if (typeof call === 'string') return call;
      encodePass(this.registration.context, (pass) => {
        this.comparison.attend(pass, this.inputs(call), tensors(call), true);
        this.comparison.compare(pass, call.output);
      });
      if (!this.layers.has(call.pages.buffer)) this.layers.set(call.pages.buffer, this.layers.size);
      return undefined;
    });
  }
}
