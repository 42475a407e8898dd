import type { AttentionShape } from '../../kernel/shape.ts';
import type { AttentionEncoder, PreparedStep } from '../../kernel/step/encoder.ts';
import type { LayerState } from '../../kernel/step/layer-state.ts';
import type { Conversation, StepAccount } from '../shared/conversation.ts';
import { type AttendCall, bufferOf, readAttendCall, shapeKey } from './attend-call.ts';
import type { DeviceHook } from './device-hook.ts';
import { encodeHeld, type HeldDispatch, holdDispatch } from './held-dispatch.ts';
import { LayerLocator } from './layer-locator.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { isMatched, type MatchedProgram } from './program.ts';
import type { Tensors } from './session-hook.ts';

/** Encoders by the key of their shape. */
export type Encoders = ReadonlyMap<string, AttentionEncoder>;

/** An attention whose first program was replaced and whose second is awaited. */
interface Pending {
  layer: number;
  encoder: AttentionEncoder;
  step: PreparedStep;
  state: LayerState;
  /** The runtime's own first program, in case ours cannot be finished. */
  stock: HeldDispatch;
}

/** What is the same for the layers of a step that have one shape. */
interface ShapeSteps {
  shape: AttentionShape;
  encoder: AttentionEncoder;
  steps: PreparedStep[];
}

/**
 * Routes the attention of one decode step to our kernels. Whatever is not understood keeps the runtime's kernel, with the
 * reason counted. What is replaced is replaced whole: if the runtime's second program does not follow, its first is encoded after all.
 */
export class StepHandler implements DispatchHandler {
  private readonly locator: LayerLocator;
  private readonly shapes: ShapeSteps[] = [];
  private last: ShapeSteps | undefined;
  private pending: Pending | undefined;
  /** Buffers that live until the run is over. */
  private readonly spare: GPUBuffer[] = [];

  /** @param feeds the inputs of the step's run */
  constructor(
    private readonly hook: DeviceHook,
    private readonly encoders: Encoders,
    private readonly conversation: Conversation,
    private readonly account: StepAccount,
    feeds: Tensors,
  ) {
    this.locator = new LayerLocator(feeds);
  }

  dispatch(dispatch: Dispatch): boolean {
    const { program } = dispatch;
    const matched = program !== undefined && isMatched(program);
    if (this.pending && !(matched && program.role === 'reduce')) {
      this.giveBack(dispatch.pass, program && !matched ? program.reason : undefined);
    }
    if (!program) return false;
    if (!matched) {
      if (program.role === 'attend') this.account.reasons.add(program.reason);
      return false;
    }
    if (program.role === 'copy') {
      this.locator.noteCopy(dispatch, program);
      return false;
    }
    if (program.role === 'reduce') return this.finish(dispatch, program);
    const call = readAttendCall(dispatch, program, this.hook, this.last?.shape);
    const layer = typeof call === 'string' ? undefined : this.locator.layerOf(call.keys.buffer);
    // The report has said why when sift was enabled.
    if (layer !== undefined && !this.conversation.layers.has(layer)) return false;
    const reason = typeof call === 'string' ? call : this.begin(dispatch, program, call, layer);
    if (reason === undefined) return true;
    this.account.reasons.add(reason);
    return false;
  }

  passed(pass: GPUComputePassEncoder): void {
    if (this.pending) this.giveBack(pass);
  }

  /** Call when the run is over. */
  end(): void {
    for (const buffer of this.spare) buffer.destroy();
  }

  /** Encodes the first part of ours in place of the runtime's first program; returns the reason if it cannot. */
  private begin(
    dispatch: Dispatch,
    program: MatchedProgram,
    call: AttendCall,
    layer: number | undefined,
  ): string | undefined {
    const { account, conversation } = this;
    if (call.newTokens !== 1) return `${call.newTokens} query rows (a short prompt)`;
    if (call.batch !== conversation.batch)
      return `batch ${call.batch} in a cache of batch ${conversation.batch}`;
    if (call.maxLength !== account.length)
      return `the attention is over ${call.maxLength} keys, the step over ${account.length}`;
    if (layer === undefined) return 'the layer of an attention could not be told';
    if (account.attended.has(layer)) return `layer ${layer} attends twice`;
    const known = this.shapeSteps(call.shape);
    if (typeof known === 'string') return known;
    const { encoder } = known;
    try {
      const step = this.prepare(known, call);
      const state = conversation.layers.get(layer)!;
      encoder.attend(dispatch.pass, step, call, state);
      this.pending = { layer, encoder, step, state, stock: holdDispatch(dispatch, program, this.hook) };
      account.attend(layer, step.plan.dense, encoder.siftFrom);
      return undefined;
    } catch (error) {
      return failed(error);
    }
  }

  /** Encodes our combine in place of the runtime's reduction. */
  private finish(dispatch: Dispatch, program: MatchedProgram): boolean {
    const { pending } = this;
    if (!pending) return false;
    const output = bufferOf(dispatch, program, 'output');
    try {
      if (!output) throw new Error('the output of the attention was not seen');
      pending.encoder.combine(dispatch.pass, pending.step, output, pending.state);
      this.pending = undefined;
      return true;
    } catch (error) {
      this.giveBack(dispatch.pass, failed(error));
      return false;
    }
  }

  /**
   * The program that follows is not the reduction that was awaited, and may read what the runtime's first program writes: that is
   * encoded now, and the layer is the runtime's in this step.
   */
  private giveBack(pass: GPUComputePassEncoder, reason?: string): void {
    const { layer, stock } = this.pending!;
    this.pending = undefined;
    this.account.giveBack(layer);
    this.account.reasons.add(reason ?? 'another program of the runtime took the place of its reduction');
    this.spare.push(encodeHeld(this.hook.device, pass, stock));
  }

  /** The encoder of a shape; the layers of most models have one. */
  private shapeSteps(shape: AttentionShape): ShapeSteps | string {
    if (this.last?.shape === shape) return this.last;
    let known = this.shapes.find((other) => shapeKey(other.shape) === shapeKey(shape));
    if (!known) {
      const encoder = this.encoders.get(shapeKey(shape));
      if (!encoder) return `no kernel was prepared for ${shapeKey(shape)}`;
      known = { shape, encoder, steps: [] };
      this.shapes.push(known);
    }
    this.last = known;
    return known;
  }

  /** One set of parameters serves all layers of the same geometry. */
  private prepare({ encoder, steps }: ShapeSteps, call: AttendCall): PreparedStep {
    for (const known of steps) {
      // The bindings of a step differ only in seqlens, which is one tensor for all layers.
      const same =
        known.capacity === call.capacity &&
        known.scale === call.scale &&
        known.lengths.buffer === call.seqlens.buffer;
      if (same) return known;
    }
    const step = encoder.prepare({
      batch: call.batch,
      lengths: call.seqlens,
      lengthBias: 1,
      maxLength: call.maxLength,
      capacity: call.capacity,
      scale: call.scale,
      policy: this.conversation.policy,
      plan: this.account.plan,
    });
    steps.push(step);
    return step;
  }
}

function failed(error: unknown): string {
  return `encoding failed: ${error instanceof Error ? error.message : error}`;
}
