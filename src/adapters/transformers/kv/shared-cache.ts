import { SiftError } from '../../../errors.ts';
import type { CacheReport } from '../../../report.ts';
import { layerOfPastKey, type OrtSession, type OrtTensor, presentName } from '../runtime.ts';
import { planCapacity, roundUp } from './capacity.ts';
import { isKvType, KvCache, type KvShape, maxCapacity } from './kv-cache.ts';
import { createView, type KvView, type TensorClass, viewOf } from './views.ts';

type Tensors = Record<string, OrtTensor>;

/** A run on a shared cache: what to feed the session instead, and where its outputs go. */
export interface SharedRun {
  cache: KvCache;
  feeds: Tensors;
  /** Outputs by name: the cache's tensors for the KV cache, null for what the runtime allocates. */
  fetches: Record<string, OrtTensor | null>;
  /** Replaces the KV cache among the outputs by views. */
  finish(outputs: Tensors): Tensors;
  /** The run failed. */
  abort(): void;
}

/** How large a cache is: rows that it has room for, and bytes of GPU memory. */
interface CacheSize {
  readonly capacity: number;
  readonly bytes: number;
}

/** Past inputs that are the K and V of a layer's self-attention; anything else stays the runtime's. */
const PAST = /^past_key_values\.\d+\.(key|value)$/;

/** Why a session cannot have a shared cache, from its input names alone. */
export function sharedCacheObstacle(session: Pick<OrtSession, 'inputNames'>): string | undefined {
  const { inputNames } = session;
  if (inputNames.includes('use_cache_branch'))
    return 'the model has separate branches for prompt and decoding';
  const other = inputNames.find((name) => layerOfPastKey(name) !== undefined && !PAST.test(name));
  if (other) return `the model has a cache input "${other}"`;
  return inputNames.some((name) => PAST.test(name)) ? undefined : 'the model has no KV cache inputs';
}

/**
 * Gives the runs of a session a KV cache that is written in place. The runtime takes the same buffer as past and present:
 * `CopyKVCache` then writes the new rows and copies nothing, and attention takes the buffer's capacity as its stride. Callers see
 * tensors of the usual shapes (views). What it cannot serve it leaves to the runtime's own cache, with the reason counted.
 */
export class SharedCache {
  /** Rows that the current generation reaches at most, if `generate` says so. */
  bound: number | undefined;
  private readonly pasts: readonly string[];
  private readonly reasons = new Map<string, number>();
  private readonly feedsOf = new WeakMap<KvCache, { size: CacheSize; tensors: Tensors }>();
  private latest: WeakRef<KvCache> | undefined;
  /** What the latest one takes, or took. */
  private size: CacheSize | undefined;
  private refusal: string | undefined;
  private readonly counts = { steps: 0, grown: 0, copied: 0 };

  /** @param Tensor the class of the runtime's own outputs: callers look for it. */
  constructor(
    private readonly device: GPUDevice,
    private readonly session: Pick<OrtSession, 'inputNames' | 'outputNames'>,
    private readonly Tensor: TensorClass,
  ) {
    this.pasts = session.inputNames.filter((name) => PAST.test(name));
  }

  /** One of the same session that has served no run yet. */
  anew(): SharedCache {
    return new SharedCache(this.device, this.session, this.Tensor);
  }

  /** Plans a run in place; undefined if the runtime's own cache must serve it. */
  async begin(feeds: Tensors, rest: readonly unknown[]): Promise<SharedRun | undefined> {
    // Nothing of the plugin's may end a generation.
    const run =
      this.refusal ??
      (await this.plan(feeds, rest).catch((error: unknown) => `planning failed: ${messageOf(error)}`));
    if (typeof run !== 'string') return run;
    this.reasons.set(run, (this.reasons.get(run) ?? 0) + 1);
    return undefined;
  }

  /** Runs a session on a shared cache where that is possible. */
  async run(original: OrtSession['run'], feeds: Tensors, rest: readonly unknown[]): Promise<Tensors> {
    const run = await this.begin(feeds, rest);
    if (!run) return original(feeds, ...rest);
    try {
      return run.finish(await original(run.feeds, run.fetches));
    } catch (error) {
      run.abort();
      throw error;
    }
  }

  /** Notes that the runtime refused a run in place, and serves no more of them. */
  refused(error: unknown): void {
    this.refusal = `the runtime refused past and present in one buffer: ${messageOf(error)}`;
    this.reasons.set(this.refusal, 1);
  }

  report(): CacheReport {
    return {
      kind: 'shared',
      capacity: this.size?.capacity ?? null,
      gpuBytes: this.size?.bytes ?? 0,
      freed: this.size !== undefined && !this.latest?.deref()?.alive,
      ...this.counts,
      reasons: [...this.reasons].map(([reason, count]) => ({ reason, count })),
    };
  }

  private async plan(feeds: Tensors, rest: readonly unknown[]): Promise<SharedRun | string> {
    if (rest.some((argument) => argument !== undefined)) return 'the caller passes outputs or run options';
    const past = this.pasts.map((name) => feeds[name]!);
    const first = past[0];
    const ids = feeds.input_ids ?? feeds.inputs_embeds;
    const newTokens = ids?.dims[1];
    if (!first || !newTokens) return 'the inputs are not those of a decoder';
    const view = this.viewOfAll(past);
    const total = feeds.attention_mask?.dims.at(-1);
    if (view && (total ?? view.length + newTokens) === view.length + newTokens) {
      // A decode step goes on where the last one ended: nothing else is to be found out.
      const { cache, length } = view;
      const next = length + newTokens;
      if (next <= cache.capacity && !cache.heldBeyond(length)) return this.start(cache, feeds, length, next);
    }
    return this.planAnew(feeds, past, view, newTokens);
  }

  private async planAnew(
    feeds: Tensors,
    past: readonly OrtTensor[],
    view: KvView | undefined,
    newTokens: number,
  ): Promise<SharedRun | string> {
    if (past.some((tensor) => tensor?.dims.length !== 4)) return 'the inputs are not those of a decoder';
    const length = past[0]!.dims[2]!;
    if (past.some((tensor) => tensor.dims[2] !== length)) return 'the layers hold different numbers of keys';
    const total = feeds.attention_mask?.dims.at(-1) ?? length + newTokens;
    if (total !== length + newTokens)
      return 'the KV cache is not as long as the attention mask: it has a capacity of its own';
    const type = past.find((tensor) => !isKvType(tensor.type))?.type;
    if (type !== undefined) return `the KV cache is of type ${type}`;
    try {
      const cache = await this.cacheFor(past, view, length, total);
      return typeof cache === 'string' ? cache : this.start(cache, feeds, length, total);
    } catch (error) {
      if (error instanceof SiftError && error.code === 'OUT_OF_MEMORY') return error.message;
      throw error;
    }
  }

  /** The cache that holds the past, with room for `total` rows. */
  private async cacheFor(
    past: readonly OrtTensor[],
    view: KvView | undefined,
    length: number,
    total: number,
  ): Promise<KvCache | string> {
    const shapes = past.map((tensor, i) => this.shapeOf(tensor, this.pasts[i]!));
    const limit = maxCapacity(this.device, shapes);
    const capacity = planCapacity(total, this.bound, limit);
    if (capacity === undefined) return `${total} keys do not fit the device's buffers (at most ${limit})`;
    const allocate = (rows: number) => KvCache.allocate(this.device, shapes, rows);
    const least = Math.min(limit, roundUp(total));
    if (length === 0) return withRoom(capacity, least, allocate);
    if (view && !view.cache.heldBeyond(length)) {
      // Rows after the past are read by nobody: they are written over.
      if (total > view.cache.capacity) {
        const wanted = Math.max(capacity, Math.min(limit, 2 * view.cache.capacity));
        await withRoom(wanted, least, (rows) => view.cache.grow(rows));
        this.counts.grown++;
      }
      return view.cache;
    }
    if (past.some((tensor) => tensor.location !== 'gpu-buffer')) return 'the past keys are not on the GPU';
    // Another continuation of a past that has one already, or a past of the runtime's own: a cache of its own, copied once.
    const cache = await withRoom(capacity, least, allocate);
    const from = view
      ? past.map((_, i) => view.cache.rowsOf(i))
      : past.map((tensor) => ({ buffer: tensor.gpuBuffer, capacity: length }));
    cache.fill(from, length);
    this.counts.copied++;
    return cache;
  }

  /** The view of the first past, if the others are of the same cache and length. */
  private viewOfAll(past: readonly OrtTensor[]): KvView | undefined {
    const view = viewOf(past[0]);
    if (!view) return undefined;
    for (let i = 1; i < past.length; i++) {
      const other = viewOf(past[i]);
      if (other?.cache !== view.cache || other.index !== i || other.length !== view.length) return undefined;
    }
    return view.index === 0 ? view : undefined;
  }

  private shapeOf(tensor: OrtTensor, past: string): KvShape {
    const [batch, heads, , headSize] = tensor.dims as [number, number, number, number];
    if (!isKvType(tensor.type)) throw new Error(`unreachable: ${tensor.type}`);
    return { past, present: presentName(past), type: tensor.type, batch, heads, headSize };
  }

  private start(cache: KvCache, feeds: Tensors, length: number, total: number): SharedRun {
    const tensors = this.tensorsOf(cache);
    const fetches: SharedRun['fetches'] = {};
    for (const name of this.session.outputNames) fetches[name] = null;
    for (const { past, present } of cache.shapes) fetches[present] = tensors[past]!;
    cache.hold(length);
    return {
      cache,
      feeds: { ...feeds, ...tensors },
      fetches,
      finish: (outputs) => {
        cache.length = total;
        const result = { ...outputs };
        cache.shapes.forEach(({ present }, i) => {
          result[present] = createView(this.Tensor, cache, i, total);
        });
        cache.release(length);
        this.latest = new WeakRef(cache);
        this.counts.steps++;
        return result;
      },
      abort: () => cache.release(length),
    };
  }

  /** The tensors over the whole capacity, which the runtime is given as past and present. */
  private tensorsOf(cache: KvCache): Tensors {
    const known = this.feedsOf.get(cache);
    if (known?.size.capacity === cache.capacity) {
      this.size = known.size;
      return known.tensors;
    }
    const tensors: Tensors = {};
    cache.shapes.forEach(({ past, type, batch, heads, headSize }, i) => {
      tensors[past] = this.Tensor.fromGpuBuffer(cache.buffer(i), {
        dataType: type,
        dims: [batch, heads, cache.capacity, headSize],
      });
    });
    this.size = { capacity: cache.capacity, bytes: cache.bytes };
    this.feedsOf.set(cache, { size: this.size, tensors });
    return tensors;
  }
}

/** Tries a capacity, and where there is no memory for it, one that is enough for now. */
async function withRoom<T>(capacity: number, least: number, make: (rows: number) => Promise<T>): Promise<T> {
  try {
    return await make(capacity);
  } catch (error) {
    if (least >= capacity || (error as SiftError).code !== 'OUT_OF_MEMORY') throw error;
    return make(least);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
