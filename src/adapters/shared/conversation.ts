import { SiftError } from '../../errors.ts';
import { type AttentionShape, shapeConstants } from '../../kernel/shape.ts';
import { LayerState } from '../../kernel/step/layer-state.ts';
import { reserveShadows } from '../../kernel/step/shadow.ts';
import { isDense, planStep, type StepPlan, type ThresholdPolicy, withExactKeys } from '../../policy/index.ts';
import { StepTimes } from './step-times.ts';

/** What was left to the runtime's kernel or kept whole, and how often. */
export type ReasonCounts = Map<string, number>;

/** The layers that are routed, each with its shape. */
export type RoutedLayers = ReadonlyMap<number, AttentionShape>;

/**
 * Thresholds and figures that belong to one KV cache, and the account of its decode steps.
 *
 * Learning has no holes: a step that should have recorded a threshold in every layer and did not (another session's run, a fallback in one
 * layer) is made up for by the next one. The same holds for the moments of V.
 */
export class Conversation {
  readonly layers = new Map<number, LayerState>();
  /** Decode steps since the prompt. */
  step = 0;
  /** Keys in the cache after the last run. */
  length = 0;
  siftedSteps = 0;
  /** Steps whose attention went through our kernels and kept every row. */
  denseSteps = 0;
  /** Steps of which our kernels had no layer. */
  stockSteps = 0;
  /** Dense steps that were shorter than the crossover; and by layer, since shapes may differ. */
  shortSteps = 0;
  readonly shortByLayer = new Map<number, number>();
  /** Steps in which the runtime's own kernel did a layer that is routed. */
  readonly stockByLayer = new Map<number, number>();
  /** Bytes of K (and of V) that dense steps through our kernels read. */
  denseBytes = 0;
  readonly reasons: ReasonCounts = new Map();
  readonly times = new StepTimes();
  /** Steps that should have been learned from and were not. */
  private missed = 0;
  /** The moments of V are due, since a step that should have measured them did not. */
  private owesMoments = false;
  private failure: string | undefined;
  /** There was no memory for the shadow: steps read all of K. */
  private withoutShadow = false;

  constructor(
    private readonly device: GPUDevice,
    private readonly asked: ThresholdPolicy,
    readonly batch: number,
    private readonly routed: RoutedLayers,
  ) {}

  /** The policy of its steps: the one that was asked for, but without the shadow where there is no memory for it. */
  get policy(): ThresholdPolicy {
    return this.withoutShadow ? withExactKeys(this.asked) : this.asked;
  }

  /** Bytes of GPU memory that the shadows take. */
  get shadowBytes(): number {
    return [...this.layers.values()].reduce((sum, { shadow }) => sum + shadow.bytes, 0);
  }

  /** Whether the next step can begin without {@link reserve}. */
  get ready(): boolean {
    return this.layers.size === this.routed.size;
  }

  /**
   * Creates the state of every layer, once.
   * @throws {SiftError} `OUT_OF_MEMORY`; it is not tried again for this conversation
   */
  async reserve(): Promise<void> {
    const { device, asked: policy, batch } = this;
    const wanted = [...this.routed].filter(([layer]) => !this.layers.has(layer));
    const shapes = wanted.map(([, shape]) => shape);
    const states = await LayerState.allocate(device, shapes, batch, policy);
    wanted.forEach(([layer], i) => {
      this.layers.set(layer, states[i]!);
    });
  }

  /**
   * Has room in the shadow of every layer for a cache of `rows` rows. Where there is no memory for it, the conversation goes on without, and
   * the reason is counted.
   */
  async reserveShadow(rows: number): Promise<void> {
    const shadows = [...this.layers.values()].map(({ shadow }) => shadow);
    // The steps that read the buffers of before were submitted.
    for (const shadow of shadows) shadow.collect();
    try {
      await reserveShadows(this.device, shadows, rows);
    } catch (error) {
      if (!(error instanceof SiftError) || error.code !== 'OUT_OF_MEMORY') throw error;
      for (const shadow of shadows) shadow.destroy();
      this.withoutShadow = true;
      this.count(`all of K is read: ${error.message}`);
    }
  }

  /** Begins a decode step on `length` keys, the new one among them. */
  begin(length: number): StepAccount {
    this.step++;
    this.times.begin();
    const plan = planStep(this.policy, this.step, length, this.missed);
    const measure = plan.measure || (this.owesMoments && !isDense(this.policy));
    return new StepAccount({ ...plan, measure }, length);
  }

  /** Adds a step to the account, once it is over. */
  finish(step: StepAccount, shortReason: (step: StepAccount) => string): void {
    const { attended, short, plan } = step;
    this.times.end();
    for (const reason of step.reasons) this.count(reason);
    // What was encoded for a step that was given up may never have been submitted.
    if (step.gaveUp) for (const { shadow } of this.layers.values()) shadow.reset();
    // Which layers there are may be known only after a first step.
    const complete = attended.size > 0 && attended.size + step.elsewhere.size === this.routed.size;
    if (plan.windowIndex >= 0 && !complete) this.missed++;
    this.owesMoments = plan.measure && !complete;
    const dense = plan.dense ? attended : short;
    for (const layer of dense.keys()) this.denseBytes += this.rowBytes(layer) * attended.get(layer)!;
    for (const layer of short) increment(this.shortByLayer, layer);
    for (const layer of this.routed.keys()) if (!attended.has(layer)) increment(this.stockByLayer, layer);
    if (attended.size === 0) this.stockSteps++;
    else if (attended.size > dense.size) this.siftedSteps++;
    else {
      this.denseSteps++;
      if (!plan.dense) this.shortSteps++;
      this.count(step.why ?? (plan.dense ? this.whyDense() : shortReason(step)));
    }
  }

  count(reason: string): void {
    increment(this.reasons, reason);
  }

  /** Notes why the conversation cannot be served any more, if that is so. */
  fail(reason: string): void {
    this.failure ??= reason;
  }

  get failed(): string | undefined {
    return this.failure;
  }

  /** Forgets thresholds and figures: a new prompt. */
  restart(): void {
    if (this.step > 0 && this.layers.size > 0) {
      const encoder = this.device.createCommandEncoder();
      for (const state of this.layers.values()) state.reset(encoder);
      this.device.queue.submit([encoder.finish()]);
    }
    this.step = 0;
    this.times.reset();
    this.missed = 0;
    this.owesMoments = false;
    this.failure = undefined;
    this.withoutShadow = false;
    this.siftedSteps = 0;
    this.denseSteps = 0;
    this.stockSteps = 0;
    this.denseBytes = 0;
    this.shortSteps = 0;
    this.shortByLayer.clear();
    this.stockByLayer.clear();
    this.reasons.clear();
  }

  destroy(): void {
    for (const state of this.layers.values()) state.destroy();
    this.layers.clear();
  }

  /** Bytes of a row of K, over KV heads and batch. */
  private rowBytes(layer: number): number {
    const shape = this.routed.get(layer);
    return shape ? this.batch * shape.kvHeads * shape.headSize * shapeConstants(shape).elementBytes : 0;
  }

  private whyDense(): string {
    return isDense(this.policy) ? 'the policy keeps every row' : 'warm-up';
  }
}

function increment<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** What happens in one decode step: which layers went through our kernels, and why others did not. */
export class StepAccount {
  /** Layers that went through our kernels, with the number of keys that each attended to. */
  readonly attended = new Map<number, number>();
  /** Those of them that read every row because the step is shorter than their crossover, and the largest of these. */
  readonly short = new Set<number>();
  shortFrom = 0;
  /** Layers that the runtime attends in a form which our kernels do not replace: nothing is missed there, for they will not come back. */
  readonly elsewhere = new Set<number>();
  readonly reasons = new Set<string>();
  /** Nothing of the step counts. */
  gaveUp = false;
  /** The step notes which V rows it reads. */
  notesReads = false;
  /** Why the step is dense, where that is neither the policy's doing nor the crossover's. */
  why: string | undefined;

  constructor(
    readonly plan: StepPlan,
    readonly length: number,
  ) {}

  /** A layer went through our kernels. */
  attend(layer: number, dense: boolean, siftFrom: number, keys = this.length): void {
    this.attended.set(layer, keys);
    if (!dense || this.plan.dense) return;
    this.short.add(layer);
    this.shortFrom = Math.max(this.shortFrom, siftFrom);
  }

  /** Nothing of the step counts: the runtime does it again, alone. */
  giveUp(reason: string): void {
    this.attended.clear();
    this.short.clear();
    this.elsewhere.clear();
    this.gaveUp = true;
    this.reasons.add(reason);
  }
}
