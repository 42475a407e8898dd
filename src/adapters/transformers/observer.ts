import type { AttentionShape } from '../../kernel/shape.ts';
import { readAttendCall } from './attend-call.ts';
import { bufferOfEntry, type DeviceHook } from './device-hook.ts';
import { LayerLocator } from './layer-locator.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { isMatched } from './program.ts';
import type { Tensors } from './session-hook.ts';

/** Observes the attention of a decode step and changes nothing. */
export class Observer implements DispatchHandler {
  /** Layers of which both programs were recognised, one after the other. */
  readonly layers = new Map<number, AttentionShape>();
  /** Why other layers were not. */
  readonly reasons = new Set<string>();
  /** A program was compiled before the plugin listened, and works on the KV cache or finishes an attention. */
  late = false;
  private readonly locator: LayerLocator;
  /** The attention whose second program is to follow. */
  private open: { layer: number; shape: AttentionShape } | undefined;

  /** @param feeds the inputs of the step's run */
  constructor(
    private readonly hook: DeviceHook,
    feeds: Tensors,
  ) {
    this.locator = new LayerLocator(feeds);
  }

  dispatch(dispatch: Dispatch): boolean {
    const { program, known } = dispatch;
    const { open } = this;
    this.open = undefined;
    if (!known) {
      this.late ||= open !== undefined || this.touchesCache(dispatch);
      return false;
    }
    if (!program) {
      if (open) this.reasons.add('an unknown program of the runtime finishes the attention');
      return false;
    }
    if (!isMatched(program)) {
      if (program.role !== 'copy') this.reasons.add(program.reason);
      return false;
    }
    if (program.role === 'copy') this.locator.noteCopy(dispatch, program);
    else if (program.role === 'reduce') {
      if (open) this.layers.set(open.layer, open.shape);
    } else {
      const call = readAttendCall(dispatch, program, this.hook);
      const layer = typeof call === 'string' ? undefined : this.locator.layerOf(call.keys.buffer);
      if (typeof call === 'string') this.reasons.add(call);
      else if (layer === undefined) this.reasons.add('the layer of an attention could not be told');
      else if (this.layers.has(layer)) this.reasons.add(`two attentions use the keys of layer ${layer}`);
      else this.open = { layer, shape: call.shape };
    }
    return false;
  }

  private touchesCache({ entries }: Dispatch): boolean {
    return entries.some((entry) => {
      const bound = bufferOfEntry(entry);
      return bound !== undefined && this.locator.layerOf(bound.buffer) !== undefined;
    });
  }
}
