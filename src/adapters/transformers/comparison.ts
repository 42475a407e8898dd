import type { AttentionEncoder } from '../../kernel/step/encoder.ts';
import { StockComparison } from '../shared/stock-comparison.ts';
import { type AttendCall, bufferOf, readAttendCall, shapeKey } from './attend-call.ts';
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
  /** Layers that were compared. */
  readonly layers = new Set<number>();
  private readonly locator: LayerLocator;
  private open: { layer: number; call: AttendCall } | undefined;

  /** @param feeds the inputs of the step's run */
  constructor(
    private readonly hook: DeviceHook,
    private readonly comparisons: Comparisons,
    feeds: Tensors,
  ) {
    this.locator = new LayerLocator(feeds);
  }

  dispatch(dispatch: Dispatch): boolean {
    const { program, pass } = dispatch;
    const { open } = this;
    this.open = undefined;
    if (!program || !isMatched(program)) return false;
    if (program.role === 'copy') this.locator.noteCopy(dispatch, program);
    if (program.role === 'attend') {
      const call = readAttendCall(dispatch, program, this.hook);
      const layer = typeof call === 'string' ? undefined : this.locator.layerOf(call.keys.buffer);
      if (layer !== undefined) this.open = { layer, call: call as AttendCall };
    }
    if (program.role !== 'reduce' || !open) return false;
    const { call, layer } = open;
    const comparison = this.comparisons.get(shapeKey(call.shape));
    const stock = bufferOf(dispatch, program, 'output');
    if (!comparison || !stock || call.newTokens !== 1 || call.batch !== 1) return false;
    dispatch.encodeStock();
    comparison.attend(pass, { ...call, lengths: call.seqlens, lengthBias: 1 }, call);
    comparison.compare(pass, stock);
    this.layers.add(layer);
    return true;
  }
}
