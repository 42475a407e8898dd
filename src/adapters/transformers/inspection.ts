import { invalidOption } from '../../errors.ts';
import type {
  InspectedHead,
  InspectedLayer,
  InspectedStep,
  InspectListener,
  InspectOptions,
} from '../../inspection.ts';
import { readBack } from '../../kernel/gpu/allocate.ts';
import { type AttentionShape, shapeConstants } from '../../kernel/shape.ts';
import { compileNoting } from '../../kernel/step/noting.ts';
import { clearReadBits, reserveReadBits } from '../../kernel/step/read-bits.ts';
import { checkNames } from '../../option-checks.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { Conversation, RoutedLayers, StepAccount } from '../shared/conversation.ts';
import type { Encoders } from './step-handler.ts';

/** What the inspection has to know of a sift. */
export interface Inspected {
  readonly device: GPUDevice;
  readonly encoders: Encoders;
  readonly layers: RoutedLayers;
  readonly policy: ThresholdPolicy;
}

/** A listener, and the layers that it wants. */
interface Listening {
  listener: InspectListener;
  layers: ReadonlySet<number>;
}

/** What is read back of one layer. */
interface Part {
  layer: number;
  shape: AttentionShape;
  keys: number;
  sifted: boolean;
  /** Where its bits begin in the staging buffer, and how many bytes they are: none of a dense step. */
  offset: number;
  bytes: number;
}

/** Keys from one KV head to the next in the bits. */
const strideOf = (keys: number) => Math.ceil(keys / 64) * 64;

/**
 * Reads back which V rows decode steps read, and tells listeners. While the bits of one step are on their way, the steps that follow are not
 * inspected, so that no step waits for it.
 */
export class Inspection {
  private readonly listening = new Set<Listening>();
  /** The bits of a step are on their way. */
  private reading = false;

  private constructor(private readonly inspected: Inspected) {}

  /**
   * Compiles what notes the rows.
   * @throws {SiftError} as {@link compileNoting}
   */
  static async create(inspected: Inspected): Promise<Inspection> {
    const { encoders, policy } = inspected;
    await Promise.all([...encoders.values()].map((encoder) => compileNoting(encoder, policy)));
    return new Inspection(inspected);
  }

  /**
   * Adds a listener.
   * @returns what takes it off
   * @throws {SiftError} `INVALID_OPTION`
   */
  add(listener: InspectListener, options: InspectOptions): () => void {
    const { layers } = this.inspected;
    checkNames(options, ['layers']);
    const wanted = options.layers ?? [...layers.keys()];
    if (!Array.isArray(wanted) || wanted.some((layer) => !layers.has(layer)))
      throw invalidOption('layers', wanted, `an array of layers that sift: ${[...layers.keys()].join(', ')}`);
    const entry = { listener, layers: new Set(wanted) };
    this.listening.add(entry);
    return () => this.listening.delete(entry);
  }

  /**
   * Has a step note what it reads, if anybody listens. Await it before the runtime encodes the step. Where there is no memory for it, the
   * step is not inspected, and the reason is counted.
   */
  async begin(conversation: Conversation, account: StepAccount): Promise<void> {
    if (this.listening.size === 0 || this.reading) return;
    const { device } = this.inspected;
    const stride = strideOf(account.length);
    const layers = [...conversation.layers.values()];
    try {
      await reserveReadBits(device, layers, stride);
    } catch (error) {
      account.reasons.add(`the step was not inspected: ${(error as Error).message}`);
      return;
    }
    // The sift was disposed of meanwhile.
    if (conversation.layers.size < layers.length) {
      for (const state of layers) state.destroy();
      return;
    }
    const encoder = device.createCommandEncoder({ label: 'sift inspection' });
    for (const state of layers) clearReadBits(encoder, state, stride);
    device.queue.submit([encoder.finish()]);
    account.notesReads = true;
  }

  /** Reads back what a step has noted. Call it when the step was submitted; it does not wait. */
  finish(conversation: Conversation, account: StepAccount): void {
    if (!account.notesReads || account.gaveUp) return;
    const wanted = new Set([...this.listening].flatMap(({ layers }) => [...layers]));
    const { batch } = conversation;
    const { length, plan } = account;
    const parts = this.partsOf(account, batch, wanted);
    const sifted = parts.filter(({ bytes }) => bytes > 0);
    const tell = (bits?: Uint32Array) =>
      this.tell({ step: plan.step, length, layers: parts.map((it) => layerOf(it, batch, length, bits)) });
    if (sifted.length === 0) {
      tell();
      return;
    }
    const copied = sifted.flatMap(({ layer, bytes }) => {
      const { buffer } = conversation.layers.get(layer)?.readBits ?? {};
      return buffer ? [{ buffer, bytes }] : [];
    });
    // The sift was disposed of in the middle of the step.
    if (copied.length < sifted.length) return;
    this.reading = true;
    readBack(this.inspected.device, copied)
      .then((data) => tell(new Uint32Array(data)))
      // Without memory for the copy this step is not told of. That the device is gone, others say.
      .catch(() => {})
      .finally(() => {
        this.reading = false;
      });
  }

  private partsOf(account: StepAccount, batch: number, wanted: ReadonlySet<number>): Part[] {
    let offset = 0;
    const parts: Part[] = [];
    for (const [layer, keys] of account.attended) {
      const shape = this.inspected.layers.get(layer);
      if (!shape || !wanted.has(layer)) continue;
      const sifted = !account.plan.dense && !account.short.has(layer);
      const bytes = sifted ? (batch * shape.kvHeads * strideOf(keys)) / 8 : 0;
      parts.push({ layer, shape, keys, sifted, offset, bytes });
      offset += bytes;
    }
    return parts.sort((a, b) => a.layer - b.layer);
  }

  private tell(step: InspectedStep): void {
    for (const { listener, layers } of this.listening) {
      const own = step.layers.filter(({ layer }) => layers.has(layer));
      // What a listener throws is the app's own error, and no step may fail by it.
      try {
        listener({ ...step, layers: own });
      } catch (error) {
        reportError(error);
      }
    }
  }
}

/** @param bits those of all parts; undefined if no layer sifted */
function layerOf(part: Part, batch: number, length: number, bits?: Uint32Array): InspectedLayer {
  const { layer, shape, keys, sifted, offset } = part;
  const { kvHeads, headSize } = shape;
  const words = strideOf(keys) / 32;
  const heads = Array.from({ length: batch * kvHeads }, (_, i): InspectedHead => {
    const own = sifted
      ? bits!.slice(offset / 4 + i * words, offset / 4 + (i + 1) * words)
      : allBits(keys, words);
    return { sequence: Math.floor(i / kvHeads), kvHead: i % kvHeads, rows: countBits(own), bits: own };
  });
  const rowBytes = headSize * shapeConstants(shape).elementBytes;
  const rows = heads.reduce((sum, head) => sum + head.rows, 0);
  return {
    ...{ layer, firstKey: length - keys, keys, sifted, heads },
    valuesRead: rows * rowBytes,
    valuesDense: batch * kvHeads * keys * rowBytes,
  };
}

/** The first `count` bits of so many words. */
function allBits(count: number, words: number): Uint32Array {
  return Uint32Array.from({ length: words }, (_, i) => {
    const left = count - 32 * i;
    return left >= 32 ? 0xffffffff : left > 0 ? 2 ** left - 1 : 0;
  });
}

function countBits(words: Uint32Array): number {
  let count = 0;
  for (let word of words) for (; word !== 0; word &= word - 1) count++;
  return count;
}
