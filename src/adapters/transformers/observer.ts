import type { AttentionShape } from '../../kernel/shape.ts';
import { AttentionAssembler } from './attention-assembler.ts';
import { bufferOfEntry } from './device-finder.ts';
import type { DeviceHook } from './device-hook.ts';
import { LayerLocator } from './layer-locator.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { isMatched } from './program.ts';
import type { Tensors } from './session-hook.ts';

/** Observes the attention of a decode step and changes nothing. */
export class Observer implements DispatchHandler {
  /** Layers of which all programs were recognised, one after the other. */
  readonly layers = new Map<number, AttentionShape>();
  /** Why other layers were not. */
  readonly reasons = new Set<string>();
  /** A program was compiled before the plugin listened, and works on the KV cache or belongs to an attention. */
  late = false;
  /** Dispatches of the step. */
  dispatches = 0;
  /** What the programs of the first attention bind. */
  interface: string | undefined;
  private readonly locator: LayerLocator;
  private readonly assembler: AttentionAssembler;
  private layer: number | undefined;

  /** @param feeds the inputs of the step's run */
  constructor(hook: DeviceHook, feeds: Tensors) {
    this.locator = new LayerLocator(feeds);
    this.assembler = new AttentionAssembler(hook);
  }

  dispatch(dispatch: Dispatch): boolean {
    const { program, known } = dispatch;
    this.dispatches++;
    let result = this.assembler.next(dispatch);
    if (result.kind === 'broken') {
      this.late ||= !known;
      if (known) this.reasons.add(result.reason);
      result = this.assembler.next(dispatch);
    }
    if (!known) this.late ||= this.touchesCache(dispatch);
    if (program && isMatched(program) && program.role === 'copy') this.locator.noteCopy(dispatch, program);
    if (result.kind === 'none' && result.reason) this.reasons.add(result.reason);
    if (result.kind === 'first') {
      this.interface ??= result.program.interface;
      this.layer = this.locator.attentionOf(result.call.keys.buffer);
    }
    if (result.kind === 'last') {
      const { layer } = this;
      if (layer === undefined) this.reasons.add('the layer of an attention could not be told');
      else this.layers.set(layer, result.attention.shape);
    }
    return false;
  }

  passed(): void {
    this.dispatches++;
  }

  private touchesCache({ entries }: Dispatch): boolean {
    return entries.some((entry) => {
      const bound = bufferOfEntry(entry);
      return bound !== undefined && this.locator.hasLayer(bound.buffer);
    });
  }
}
