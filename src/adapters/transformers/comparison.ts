import type { AttentionEncoder } from '../../kernel/step/encoder.ts';
import { StockComparison } from '../shared/stock-comparison.ts';
import { shapeKey, stepGeometry } from './attend-call.ts';
import { AttentionAssembler } from './attention-assembler.ts';
import type { DeviceHook } from './device-hook.ts';
import { LayerLocator } from './layer-locator.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { isMatched } from './program.ts';
import type { Tensors } from './session-hook.ts';

/** Comparisons by the key of their shapes. */
export type Comparisons = ReadonlyMap<string, StockComparison>;

/** A comparison for each shape of a model's attention. */
export async function createComparisons(
  encoders: ReadonlyMap<string, AttentionEncoder>,
): Promise<Comparisons> {
  const comparisons = new Map<string, StockComparison>();
  for (const [key, encoder] of encoders) comparisons.set(key, await StockComparison.create(encoder));
  return comparisons;
}

/** Lets the runtime's attention run and ours after it into a buffer of its own, and compares, in every layer of a decode step. */
export class ComparingHandler implements DispatchHandler {
  /** Attentions that were compared. */
  readonly layers = new Set<number>();
  /** Why others were not. */
  readonly reasons = new Set<string>();
  private readonly locator: LayerLocator;
  private readonly assembler: AttentionAssembler;
  private layer: number | undefined;

  /** @param feeds the inputs of the step's run */
  constructor(
    hook: DeviceHook,
    private readonly comparisons: Comparisons,
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
    if (result.kind === 'first') this.layer = this.locator.attentionOf(result.call.keys.buffer);
    if (result.kind !== 'last' || this.layer === undefined) return false;
    const { attention } = result;
    // Ours knows no sinks: such a layer is left to the runtime, and would make the comparison of the others fail.
    if (attention.sinks) return false;
    const comparison = this.comparisons.get(shapeKey(attention.shape));
    if (!comparison || attention.newTokens !== 1 || attention.batch !== 1) return false;
    dispatch.encodeStock();
    comparison.attend(pass, stepGeometry(attention, comparison.zeros), attention);
    comparison.compare(pass, attention.output);
    this.layers.add(this.layer);
    return true;
  }
}
