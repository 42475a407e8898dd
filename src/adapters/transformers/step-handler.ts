import type { AttentionEncoder, PreparedStep } from '../../kernel/encoder.ts';
import type { StepPlan } from '../../kernel/params.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import type { LayerState } from '../../kernel/state.ts';
import { type AttendCall, bufferOf, readAttendCall, shapeKey } from './attend-call.ts';
import type { CacheState } from './cache.ts';
import type { DeviceHook } from './device-hook.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { isMatched } from './program.ts';

/** An attention whose first program was replaced and whose second is awaited. */
interface Pending {
  encoder: AttentionEncoder;
  step: PreparedStep;
  state: LayerState;
  /** The runtime's own first program, in case ours cannot be finished. */
  pipeline: GPUComputePipeline;
  group: GPUBindGroup;
  x: number;
  y: number;
  z: number;
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
  private readonly layerOfPresent = new Map<GPUBuffer, number>();
  private readonly geometries: Geometry[] = [];
  private last: Geometry | undefined;
  private pending: Pending | undefined;

  /** @param layerOfPast layer by the GPU buffer of the past keys that the caller passed to `session.run`. */
  constructor(
    private readonly hook: DeviceHook,
    private readonly encoders: ReadonlyMap<string, AttentionEncoder>,
    private readonly cache: CacheState,
    private readonly plan: StepPlan,
    private readonly layerOfPast: ReadonlyMap<GPUBuffer, number>,
  ) {}

  dispatch(dispatch: Dispatch): boolean {
    const { program } = dispatch;
    if (!program) return false;
    if (!isMatched(program)) {
      if (program.role !== 'copy') this.reasons.add(program.reason);
      return false;
    }
    if (program.role === 'copy') {
      const past = bufferOf(dispatch, program, 'past_key');
      const present = bufferOf(dispatch, program, 'present_key');
      const layer = past && this.layerOfPast.get(past.buffer);
      if (present && layer !== undefined) this.layerOfPresent.set(present.buffer, layer);
      return false;
    }
    if (program.role === 'reduce') return this.finish(dispatch);
    const call = readAttendCall(dispatch, program, this.hook, this.last?.shape);
    const reason = typeof call === 'string' ? call : this.begin(dispatch, call);
    if (reason === undefined) return true;
    this.reasons.add(reason);
    return false;
  }

  /** Encodes our scores and gather in place of the runtime's first program; returns the reason if it cannot. */
  private begin(dispatch: Dispatch, call: AttendCall): string | undefined {
    if (call.newTokens !== 1) return `${call.newTokens} query rows (a short prompt)`;
    if (call.batch !== this.cache.batch) return `batch ${call.batch} in a cache of batch ${this.cache.batch}`;
    const layer = this.layerOfPresent.get(call.keys.buffer) ?? this.layerOfPast.get(call.keys.buffer);
    if (layer === undefined) return 'the layer of an attention could not be told';
    if (this.attended.has(layer)) return `layer ${layer} attends twice`;
    const geometry = this.geometryOf(call.shape);
    if (typeof geometry === 'string') return geometry;
    const { encoder } = geometry;
    try {
      const step = this.prepare(geometry, call);
      const state = this.cache.layer(layer, call.shape);
      encoder.attend(dispatch.pass, step, call, state);
      const { pipeline, group, x, y, z } = dispatch;
      this.pending = { encoder, step, state, pipeline, group, x, y, z };
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
    this.pending = undefined;
    const output = isMatched(dispatch.program!) ? bufferOf(dispatch, dispatch.program, 'output') : undefined;
    try {
      if (!output) throw new Error('the output of the attention was not seen');
      pending.encoder.combine(dispatch.pass, pending.step, output, pending.state);
      return true;
    } catch (error) {
      // The runtime's reduction reads what its first program writes: run that now.
      this.reasons.add(`encoding failed: ${error instanceof Error ? error.message : error}`);
      const { pass } = dispatch;
      pass.setPipeline(pending.pipeline);
      pass.setBindGroup(0, pending.group);
      pass.dispatchWorkgroups(pending.x, pending.y, pending.z);
      return false;
    }
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
