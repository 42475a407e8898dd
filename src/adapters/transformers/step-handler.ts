import type { AttentionShape } from '../../kernel/shape.ts';
import type { AttentionEncoder, PreparedStep } from '../../kernel/step/encoder.ts';
import type { LayerState } from '../../kernel/step/layer-state.ts';
import type { StepPlan } from '../../policy/index.ts';
import { type AttendCall, bufferOf, readAttendCall, shapeKey } from './attend-call.ts';
import type { CacheState } from './cache.ts';
import type { DeviceHook } from './device-hook.ts';
import { encodeHeld, type HeldDispatch, holdDispatch } from './held-dispatch.ts';
import { LayerLocator } from './layer-locator.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { isMatched, type MatchedProgram } from './program.ts';
import type { Tensors } from './session-hook.ts';

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
interface Geometry {
  shape: AttentionShape;
  encoder: AttentionEncoder;
  steps: PreparedStep[];
}

/**
 * Routes the attention of one decode step to our kernels. Whatever is not understood keeps the runtime's kernel, with the
 * reason counted.
 */
export class StepHandler implements DispatchHandler {
  /** Layers that went through our kernels. */
  readonly attended = new Set<number>();
  /** Those of them that read every row because the step is shorter than their crossover, and the largest of these. */
  readonly short = new Set<number>();
  shortFrom = 0;
  /** Why layers kept the runtime's kernel, in this step. */
  readonly reasons = new Set<string>();
  private readonly locator: LayerLocator;
  private readonly geometries: Geometry[] = [];
  private last: Geometry | undefined;
  private pending: Pending | undefined;
  /** Buffers that live until the run is over. */
  private readonly spare: GPUBuffer[] = [];

  /**
   * @param layers the layers that may be routed
   * @param feeds the inputs of the step's run
   */
  constructor(
    private readonly hook: DeviceHook,
    private readonly encoders: ReadonlyMap<string, AttentionEncoder>,
    private readonly layers: ReadonlyMap<number, AttentionShape>,
    private readonly cache: CacheState,
    private readonly plan: StepPlan,
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
      if (program.role === 'attend') this.reasons.add(program.reason);
      return false;
    }
    if (program.role === 'copy') {
      this.locator.noteCopy(dispatch, program);
      return false;
    }
    if (program.role === 'reduce') return this.finish(dispatch);
    const call = readAttendCall(dispatch, program, this.hook, this.last?.shape);
    const layer = typeof call === 'string' ? undefined : this.locator.layerOf(call.keys.buffer);
    // The report has said why when sift was enabled.
    if (layer !== undefined && !this.layers.has(layer)) return false;
    const reason = typeof call === 'string' ? call : this.begin(dispatch, program, call, layer);
    if (reason === undefined) return true;
    this.reasons.add(reason);
    return false;
  }

  passed(pass: GPUComputePassEncoder): void {
    if (this.pending) this.giveBack(pass);
  }

  /** Call when the run is over. */
  end(): void {
    for (const buffer of this.spare) buffer.destroy();
  }

  /** Encodes our scores and gather in place of the runtime's first program; returns the reason if it cannot. */
  private begin(
    dispatch: Dispatch,
    program: MatchedProgram,
    call: AttendCall,
    layer: number | undefined,
  ): string | undefined {
    if (call.newTokens !== 1) return `${call.newTokens} query rows (a short prompt)`;
    if (call.batch !== this.cache.batch) return `batch ${call.batch} in a cache of batch ${this.cache.batch}`;
    if (layer === undefined) return 'the layer of an attention could not be told';
    if (this.attended.has(layer)) return `layer ${layer} attends twice`;
    const geometry = this.geometryOf(call.shape);
    if (typeof geometry === 'string') return geometry;
    const { encoder } = geometry;
    try {
      const step = this.prepare(geometry, call);
      const state = this.cache.layer(layer, call.shape);
      encoder.attend(dispatch.pass, step, call, state);
      this.pending = { layer, encoder, step, state, stock: holdDispatch(dispatch, program, this.hook) };
      this.attended.add(layer);
      if (step.plan.dense && !this.plan.dense) {
        this.short.add(layer);
        this.shortFrom = Math.max(this.shortFrom, encoder.siftFrom);
      }
      return undefined;
    } catch (error) {
      return `encoding failed: ${error instanceof Error ? error.message : error}`;
    }
  }

  /** Encodes our combine in place of the runtime's reduction. */
  private finish(dispatch: Dispatch): boolean {
    const { pending } = this;
    if (!pending) return false;
    const output = isMatched(dispatch.program!) ? bufferOf(dispatch, dispatch.program, 'output') : undefined;
    try {
      if (!output) throw new Error('the output of the attention was not seen');
      pending.encoder.combine(dispatch.pass, pending.step, output, pending.state);
      this.pending = undefined;
      return true;
    } catch (error) {
      this.giveBack(dispatch.pass, `encoding failed: ${error instanceof Error ? error.message : error}`);
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
    this.attended.delete(layer);
    this.short.delete(layer);
    this.reasons.add(reason ?? 'another program of the runtime took the place of its reduction');
    this.spare.push(encodeHeld(this.hook.device, pass, stock));
  }

  /** The encoder of a shape; the layers of most models have one. */
  private geometryOf(shape: AttentionShape): Geometry | string {
    if (this.last?.shape === shape) return this.last;
    let known = this.geometries.find((geometry) => shapeKey(geometry.shape) === shapeKey(shape));
    if (!known) {
      const encoder = this.encoders.get(shapeKey(shape));
      if (!encoder) return `no kernel was prepared for ${shapeKey(shape)}`;
      known = { shape, encoder, steps: [] };
      this.geometries.push(known);
    }
    this.last = known;
    return known;
  }

  /** One set of parameters serves all layers of the same geometry. */
  private prepare({ encoder, steps }: Geometry, call: AttendCall): PreparedStep {
    for (const known of steps) {
      // The bindings of a step differ only in seqlens, which is one tensor for all layers.
      const same =
        known.maxLength === call.maxLength &&
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
      policy: this.cache.policy,
      plan: this.plan,
    });
    steps.push(step);
    return step;
  }
}
