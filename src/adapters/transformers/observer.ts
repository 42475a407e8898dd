import type { AttentionShape } from '../../kernel/shape.ts';
import { AttentionAssembler } from './attention-assembler.ts';
import type { DeviceHook } from './device-hook.ts';
import { LayerLocator } from './layer-locator.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { indirectReason, isMatched, type Program, windowOffset } from './program.ts';
import type { Tensors } from './session-hook.ts';

/** Observes the attention of a decode step and changes nothing. */
export class Observer implements DispatchHandler {
  /** Layers of which all programs were recognised, one after the other. */
  readonly layers = new Map<number, AttentionShape>();
  /** Layers that the runtime attends in another form. */
  readonly elsewhere = new Set<number>();
  /** Why other layers were not. */
  readonly reasons = new Set<string>();
  /** A program was compiled before the plugin listened, and works on the KV cache or belongs to an attention. */
  late = false;
  /** Dispatches of the step. */
  dispatches = 0;
  /** Labels of the programs that were dispatched, as far as their creation was seen. */
  readonly labels = new Set<string>();
  /** Whether the runtime has the window of an attention as a uniform. */
  windows = false;
  /** What the programs of the first attention bind. */
  interface: string | undefined;
  private readonly locator: LayerLocator;
  private readonly assembler: AttentionAssembler;
  private layer: number | undefined;

  /** @param feeds the inputs of the step's run */
  constructor(
    private readonly hook: DeviceHook,
    feeds: Tensors,
  ) {
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
    if (known) this.labels.add(this.hook.labelOf(dispatch.pipeline) ?? '');
    else this.late ||= this.locator.layerAmong(dispatch.entries) !== undefined;
    if (program && isMatched(program) && program.role === 'copy') this.locator.noteCopy(dispatch, program);
    if (result.kind === 'none' && result.reason) {
      this.reasons.add(result.reason);
      const layer = result.otherForm ? this.locator.attentionAmong(dispatch.entries) : undefined;
      if (layer !== undefined) this.elsewhere.add(layer);
    }
    if (result.kind === 'first') {
      this.interface ??= result.program.interface;
      this.windows ||= windowOffset(result.program) !== undefined;
      this.layer = this.locator.attentionOf(result.call.keys.buffer);
    }
    if (result.kind === 'last') {
      const { layer } = this;
      if (layer === undefined) this.reasons.add('the layer of an attention could not be told');
      else this.layers.set(layer, result.attention.shape);
    }
    return false;
  }

  passed(_: GPUComputePassEncoder, indirect?: Program): void {
    this.dispatches++;
    this.assembler.reset();
    const reason = indirectReason(indirect);
    if (reason !== undefined) this.reasons.add(reason);
  }
}
