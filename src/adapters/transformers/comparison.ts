import type { Owned } from '../../kernel/gpu/allocate.ts';
import { describeShape } from '../../kernel/shape.ts';
import type { AttentionEncoder } from '../../kernel/step/encoder.ts';
import { StockComparison } from '../shared/stock-comparison.ts';
import { stepGeometry } from './attend-call.ts';
import { AttentionAssembler, type WholeAttention } from './attention-assembler.ts';
import type { DeviceHook } from './device-hook.ts';
import { encodeHeld, type HeldDispatch, holdDispatch, withUniform } from './held-dispatch.ts';
import { LayerLocator } from './layer-locator.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { indirectReason, isMatched, type MatchedProgram, type Program, windowOffset } from './program.ts';
import type { Tensors } from './session-hook.ts';
import { TRIAL_LENGTH } from './trial.ts';

/** Comparisons by the key of their shapes. */
export type Comparisons = ReadonlyMap<string, StockComparison>;

/**
 * A comparison for each shape of a model's attention.
 * @param owned gets what is made, as it is made
 */
export async function createComparisons(
  encoders: ReadonlyMap<string, AttentionEncoder>,
  owned: Owned,
): Promise<Comparisons> {
  const comparisons = new Map<string, StockComparison>();
  for (const [key, encoder] of encoders) {
    const comparison = await StockComparison.create(encoder, owned);
    await comparison.reserve(TRIAL_LENGTH);
    comparisons.set(key, comparison);
  }
  return comparisons;
}

/**
 * Newest keys that the attention is compared over a second time, where the runtime has windows as a uniform. In a trial there are more
 * keys in its last tile, and a tile before it that lies outside. A model's own windows are longer than a trial.
 */
const WINDOW = 5;

/** Lets the runtime's attention run and ours after it into a buffer of its own, and compares, in every layer of a decode step. */
export class ComparingHandler implements DispatchHandler {
  /** Attentions that were compared. */
  readonly layers = new Set<number>();
  /** What compared attentions over a window. */
  readonly windowed = new Set<StockComparison>();
  /** An attention was compared, but not over a window. */
  private unwindowed = false;
  /** Why others were not. */
  readonly reasons = new Set<string>();
  private readonly locator: LayerLocator;
  private readonly assembler: AttentionAssembler;
  private layer: number | undefined;
  /** The programs of the attention under way, if windows are a uniform of its first. */
  private held: HeldDispatch[] | undefined;
  /** Where that uniform is, in bytes. */
  private windowOffset = 0;

  /**
   * @param windows what compares attentions over a window; none: windows are not compared
   * @param feeds the inputs of the step's run
   */
  constructor(
    private readonly hook: DeviceHook,
    private readonly comparisons: Comparisons,
    private readonly windows: Comparisons,
    feeds: Tensors,
  ) {
    this.locator = new LayerLocator(feeds);
    this.assembler = new AttentionAssembler(hook);
  }

  dispatch(dispatch: Dispatch): boolean {
    const { program, pass } = dispatch;
    let result = this.assembler.next(dispatch);
    if (result.kind === 'broken') {
      this.reasons.add(result.reason);
      result = this.assembler.next(dispatch);
    }
    if (result.kind === 'none' && result.reason) this.reasons.add(result.reason);
    if (program && isMatched(program) && program.role === 'copy') this.locator.noteCopy(dispatch, program);
    if (result.kind === 'first') {
      this.layer = this.locator.attentionOf(result.call.keys.buffer);
      this.hold(dispatch, result.program);
    }
    if (result.kind === 'next') this.held?.push(holdDispatch(dispatch, program as MatchedProgram, this.hook));
    if (result.kind !== 'last' || this.layer === undefined) return false;
    const { attention } = result;
    const comparison = this.comparisons.get(describeShape(attention.shape));
    if (!comparison || attention.newTokens !== 1 || attention.batch !== 1) return false;
    if (!this.compareWindow(dispatch, attention)) this.unwindowed = true;
    dispatch.encodeStock();
    // Steps tell the number of keys in one of two ways (step-handler.ts); both must be right.
    for (const allKeys of [false, true]) {
      comparison.attend(pass, stepGeometry(attention, comparison.zeros, allKeys), attention);
      comparison.compare(pass, attention.output);
    }
    this.layers.add(this.layer);
    return true;
  }

  passed(_: GPUComputePassEncoder, indirect?: Program): void {
    // What follows does not continue an attention that began before.
    this.assembler.reset();
    const reason = indirectReason(indirect);
    if (reason !== undefined) this.reasons.add(reason);
  }

  /**
   * Whether windows are proved. Call it when the run is over; it reads the comparisons.
   * @returns what is wrong with them; undefined: nothing
   */
  async windowFault(): Promise<string | undefined> {
    if (this.windowed.size === 0 || this.unwindowed) return 'not every layer could be compared over a window';
    const faults: string[] = [];
    for (const comparison of this.windowed) {
      const fault = await comparison.fault();
      if (fault !== undefined) faults.push(fault);
    }
    return faults.length > 0 ? faults.join('; ') : undefined;
  }

  /** Keeps the first program of an attention, if a window is one of its uniforms. */
  private hold(dispatch: Dispatch, program: MatchedProgram): void {
    const offset = windowOffset(program);
    const wanted = offset !== undefined && this.windows.size > 0;
    this.held = wanted ? [holdDispatch(dispatch, program, this.hook)] : undefined;
    this.windowOffset = offset ?? 0;
  }

  /**
   * Encodes the runtime's attention again over a window, before its last program, and compares. Then its programs before the last are
   * encoded once more, so that the last finds what it would have found.
   * @returns whether it could be done
   */
  private compareWindow(dispatch: Dispatch, attention: WholeAttention): boolean {
    const { held, windowOffset } = this;
    const comparison = this.windows.get(describeShape(attention.shape));
    const first = held?.[0] && withUniform(held[0], windowOffset, WINDOW);
    if (!held || !first || !comparison || attention.maxLength <= WINDOW) return false;
    const { pass } = dispatch;
    const { resources } = comparison;
    for (const each of [first, ...held.slice(1)]) encodeHeld(resources, pass, each);
    dispatch.encodeStock();
    comparison.attend(
      pass,
      stepGeometry({ ...attention, window: WINDOW }, comparison.zeros, false),
      attention,
    );
    comparison.compare(pass, attention.output);
    this.windowed.add(comparison);
    for (const each of held) encodeHeld(resources, pass, each);
    return true;
  }
}
