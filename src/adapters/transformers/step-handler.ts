import { type AttentionShape, describeShape } from '../../kernel/shape.ts';
import type { AttentionEncoder, PreparedStep } from '../../kernel/step/encoder.ts';
import type { Conversation, StepAccount } from '../shared/conversation.ts';
import { type AttendCall, geometryObstacle, stepGeometry } from './attend-call.ts';
import { AttentionAssembler, type WholeAttention } from './attention-assembler.ts';
import type { DeviceHook } from './device-hook.ts';
import { encodeHeld, type HeldDispatch, holdDispatch } from './held-dispatch.ts';
import { LayerLocator } from './layer-locator.ts';
import { seesAllKeys } from './mask/whole-mask.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { indirectReason, isMatched, type MatchedProgram, type Program } from './program.ts';
import type { Tensors } from './session-hook.ts';

/** Encoders by the key of their shape. */
export type Encoders = ReadonlyMap<string, AttentionEncoder>;

/** An attention that is being replaced: none of its programs was encoded so far. */
interface Pending {
  layer: number;
  /** The runtime's own programs, in case ours cannot take their place. */
  held: HeldDispatch[];
}

/** What is the same for the layers of a step that have one shape. */
interface ShapeSteps {
  shape: AttentionShape;
  encoder: AttentionEncoder;
  steps: PreparedStep[];
}

/**
 * Routes the attention of one decode step to our kernels. Whatever is not understood keeps the runtime's kernel, with the
 * reason counted. What is replaced is replaced whole: the runtime's programs are held back until the last of them is there, and if another
 * follows instead, they are encoded after all.
 */
export class StepHandler implements DispatchHandler {
  private readonly locator: LayerLocator;
  private readonly assembler: AttentionAssembler;
  private readonly shapes: ShapeSteps[] = [];
  private last: ShapeSteps | undefined;
  private pending: Pending | undefined;
  /** The one sequence sees all of its keys. */
  private readonly allKeys: boolean;

  /**
   * @param windows whether attention over a window was proved to be the same
   * @param feeds the inputs of the step's run
   */
  constructor(
    private readonly hook: DeviceHook,
    private readonly encoders: Encoders,
    private readonly windows: boolean,
    private readonly conversation: Conversation,
    private readonly account: StepAccount,
    feeds: Tensors,
  ) {
    this.locator = new LayerLocator(feeds);
    this.allKeys = seesAllKeys(feeds.attention_mask, account.length);
    this.assembler = new AttentionAssembler(hook);
  }

  dispatch(dispatch: Dispatch): boolean {
    const { program } = dispatch;
    // Most of a step's dispatches have nothing to do with attention.
    if (!program && this.assembler.idle) return false;
    let result = this.assembler.next(dispatch);
    if (result.kind === 'broken') {
      if (this.pending) this.giveBack(dispatch.pass, result.reason);
      result = this.assembler.next(dispatch);
    }
    if (program && isMatched(program) && program.role === 'copy') this.locator.noteCopy(dispatch, program);
    switch (result.kind) {
      case 'first':
        return this.begin(dispatch, result.program, result.call);
      case 'next':
        if (!this.pending) return false;
        this.pending.held.push(holdDispatch(dispatch, program as MatchedProgram, this.hook));
        return true;
      case 'last':
        return this.pending ? this.finish(dispatch, this.pending, result.attention) : false;
      default:
        if (result.kind === 'none' && result.reason) this.leave(dispatch, result.reason, result.otherForm);
        return false;
    }
  }

  passed(pass: GPUComputePassEncoder, indirect?: Program): void {
    this.assembler.reset();
    if (this.pending)
      this.giveBack(pass, 'another program of the runtime took the place of one of its attention');
    const reason = indirectReason(indirect);
    if (reason !== undefined) this.account.reasons.add(reason);
  }

  /** An attention is the runtime's, as a whole. */
  private leave({ entries }: Dispatch, reason: string, otherForm = false): void {
    this.account.reasons.add(reason);
    const layer = otherForm ? this.locator.attentionAmong(entries) : undefined;
    if (layer !== undefined && this.conversation.layers.has(layer)) this.account.elsewhere.add(layer);
  }

  /** Holds the first program of an attention back, if ours is to take its place. */
  private begin(dispatch: Dispatch, program: MatchedProgram, call: AttendCall): boolean {
    const layer = this.locator.attentionOf(call.keys.buffer);
    // The report has said why when sift was enabled.
    if (layer !== undefined && !this.conversation.layers.has(layer)) return false;
    const obstacle = this.obstacle(call, layer);
    if (obstacle !== undefined) {
      this.account.reasons.add(obstacle);
      return false;
    }
    this.pending = { layer: layer!, held: [holdDispatch(dispatch, program, this.hook)] };
    return true;
  }

  /** Why an attention is left to the runtime. */
  private obstacle(call: AttendCall, layer: number | undefined): string | undefined {
    const { account, conversation } = this;
    if (layer === undefined) return 'the layer of an attention could not be told';
    if (call.newTokens !== 1) return `${call.newTokens} query rows (a short prompt)`;
    if (call.batch !== conversation.batch)
      return `batch ${call.batch} in a cache of batch ${conversation.batch}`;
    if (call.maxLength !== account.length)
      return `the attention is over ${call.maxLength} keys, the step over ${account.length}`;
    if (call.window > 0 && !this.windows) return 'ours was not proved to be the same over a sliding window';
    return geometryObstacle(call);
  }

  /**
   * Encodes ours in place of the runtime's programs, of which this is the last. Which kernels are ours is known only now, because only
   * the last program shows whether the layer has attention sinks.
   */
  private finish(dispatch: Dispatch, { layer }: Pending, attention: WholeAttention): boolean {
    const { pass } = dispatch;
    const steps = this.shapeSteps(attention.shape);
    if (typeof steps === 'string') {
      this.giveBack(pass, steps);
      return false;
    }
    const { encoder } = steps;
    try {
      const step = this.prepare(steps, attention);
      const state = this.conversation.layers.get(layer)!;
      encoder.attend(pass, step, attention, state);
      encoder.combine(pass, step, attention.output, state);
      this.account.attend(layer, step.plan.dense, encoder.siftFrom, attention.window || attention.maxLength);
      this.pending = undefined;
      return true;
    } catch (error) {
      this.giveBack(pass, `encoding failed: ${error instanceof Error ? error.message : error}`);
      return false;
    }
  }

  /**
   * Ours cannot take the place of an attention that has begun: what was held back is encoded now, before whatever follows, and the layer
   * is the runtime's in this step.
   */
  private giveBack(pass: GPUComputePassEncoder, reason: string): void {
    const { held } = this.pending!;
    this.pending = undefined;
    this.account.reasons.add(reason);
    const { resources } = [...this.encoders.values()][0]!;
    for (const each of held) encodeHeld(resources, pass, each);
  }

  /** The encoder of a shape; the layers of most models have one. */
  private shapeSteps(shape: AttentionShape): ShapeSteps | string {
    if (this.last?.shape === shape) return this.last;
    let known = this.shapes.find((other) => describeShape(other.shape) === describeShape(shape));
    if (!known) {
      const encoder = this.encoders.get(describeShape(shape));
      if (!encoder) return `no kernel was prepared for ${describeShape(shape)}`;
      known = { shape, encoder, steps: [] };
      this.shapes.push(known);
    }
    this.last = known;
    return known;
  }

  /** One set of parameters serves all layers of the same geometry. */
  private prepare({ encoder, steps }: ShapeSteps, call: AttendCall): PreparedStep {
    const geometry = stepGeometry(call, encoder.resources.zeros, this.allKeys);
    for (const known of steps) {
      // The bindings of a step differ only in seqlens, which is one tensor for all layers.
      const same =
        known.capacity === geometry.capacity &&
        known.scale === geometry.scale &&
        known.firstKey === geometry.firstKey &&
        known.lengths.buffer === geometry.lengths.buffer;
      if (same) return known;
    }
    const step = encoder.prepare({
      ...geometry,
      policy: this.conversation.policy,
      plan: this.account.plan,
      notesReads: this.account.notesReads,
    });
    steps.push(step);
    return step;
  }
}
