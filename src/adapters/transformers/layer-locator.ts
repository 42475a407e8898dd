import { attentionKey } from '../shared/attention-key.ts';
import { bufferOf } from './attend-call.ts';
import { bufferOfEntry } from './device-finder.ts';
import type { Dispatch } from './pass-hook.ts';
import type { MatchedProgram } from './program.ts';
import { layerOfPastKey, type OrtTensor } from './runtime.ts';

/**
 * Tells which layer an attention belongs to. Nothing in a dispatch names it: on a shared cache the attention binds the buffer that
 * was passed to `session.run` as `past_key_values.N.key`; otherwise `CopyKVCache` binds that buffer, beside the present keys that the
 * attention binds next.
 */
export class LayerLocator {
  private readonly ofPast = new Map<GPUBuffer, number>();
  private readonly ofPresent = new Map<GPUBuffer, number>();
  /** Attentions of each layer so far. */
  private readonly attentions = new Map<number, number>();

  /** @param feeds the inputs of the run */
  constructor(feeds: Record<string, OrtTensor>) {
    for (const [name, tensor] of Object.entries(feeds)) {
      const layer = layerOfPastKey(name);
      if (layer !== undefined && tensor.location === 'gpu-buffer') this.ofPast.set(tensor.gpuBuffer, layer);
    }
  }

  /** Takes note of a dispatch of `CopyKVCache`. */
  noteCopy(dispatch: Dispatch, program: MatchedProgram): void {
    const past = bufferOf(dispatch, program, 'past_key');
    const present = bufferOf(dispatch, program, 'present_key');
    const layer = past && this.ofPast.get(past.buffer);
    if (present && layer !== undefined) this.ofPresent.set(present.buffer, layer);
  }

  /** The layer whose keys, past or present, a dispatch binds. */
  layerAmong(entries: readonly GPUBindGroupEntry[]): number | undefined {
    for (const entry of entries) {
      const bound = bufferOfEntry(entry);
      const layer = bound && this.layerOf(bound.buffer);
      if (layer !== undefined) return layer;
    }
    return undefined;
  }

  /** The number of an attention by the buffer of its keys, see {@link attentionKey}. Call it once for each attention. */
  attentionOf(keys: GPUBuffer): number | undefined {
    return this.count(this.layerOf(keys));
  }

  /** The same by what a dispatch binds, for an attention whose programs are not understood. */
  attentionAmong(entries: readonly GPUBindGroupEntry[]): number | undefined {
    return this.count(this.layerAmong(entries));
  }

  private count(layer: number | undefined): number | undefined {
    if (layer === undefined) return undefined;
    const before = this.attentions.get(layer) ?? 0;
    this.attentions.set(layer, before + 1);
    return attentionKey(layer, before);
  }

  private layerOf(keys: GPUBuffer): number | undefined {
    return this.ofPresent.get(keys) ?? this.ofPast.get(keys);
  }
}
