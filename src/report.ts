import type { HeadStatus } from './kernel/step/layer-state.ts';

/**
 * What a head's threshold comes from: as {@link HeadStatus}, or
 *
 * - `given`: the policy gives it, and nothing is learned, as with every `quality`.
 */
export type ReportedStatus = HeadStatus | 'given';

/** What one query head did. Fractions are over the sifted steps of the conversation. */
export interface HeadReport {
  status: ReportedStatus;
  /** Share of the rows the head itself kept. */
  kept: number;
  /** ... and at the last sifted step. */
  lastKept: number;
  /** Mean probability mass of the rows that took part. */
  keptMass: number;
  /** Threshold of the last sifted step, a probability; null while every row is kept. */
  threshold: number | null;
  /** The fit theta = alpha * x^beta; null while nothing was fitted. */
  fit: { alpha: number; beta: number; r2: number } | null;
}

/** What one layer did. */
export interface LayerReport {
  /** The layer whose K and V are attended to. */
  layer: number;
  /** Which of the attentions to them this is: 0, but where layers share the K and V of another, as in Gemma 3n. */
  attention: number;
  /** Mean of the heads' kept fractions; null before the layer's first sifted step. */
  keptHead: number | null;
  /** Share of the V rows that at least one head of a group kept, which is what was read; null before the layer's first sifted step. */
  keptGroup: number | null;
  /** [batch * queryHeads] */
  heads: HeadReport[];
  /** Kept fraction of each KV group, [batch * kvHeads]. */
  groups: number[];
  /** Steps that read every row only because they were shorter than the crossover. */
  shortSteps: number;
  /** Steps in which the runtime's own kernel did this layer (see `reasons`). */
  stockSteps: number;
}

/** What became of the KV cache. */
export interface CacheReport {
  /** `'shared'`: past and present are the same buffers, written in place. `'stock'`: the runtime copies the cache at every step. */
  kind: 'shared' | 'stock';
  /**
   * Tokens that the buffers of the latest conversation can hold, and the bytes of GPU memory that they take. A conversation that is over,
   * as after a call of a pipeline, has freed them: these are then what they were. Null and 0 before the first prompt, and where the cache
   * is the runtime's own.
   */
  capacity: number | null;
  gpuBytes: number;
  /** Whether the buffers have been freed. */
  freed: boolean;
  /** Runs of the session in place, prompts included; times that a cache was moved to larger buffers; and to buffers of its own
   * because its past had another continuation already, or was the runtime's. */
  steps: number;
  grown: number;
  copied: number;
  /** Why runs, or all of them, used the runtime's own cache. */
  reasons: { reason: string; count: number }[];
}

/** From which length on the steps of layers of one shape sift. */
export interface CrossoverReport {
  /** Query heads / KV heads, head size and type. */
  shape: string;
  /** Keys from which steps sift; null: at none. */
  siftFrom: number | null;
  /** The option's number, measured by this load, or by an earlier one of a page or worker of this origin. */
  source: 'given' | 'measured' | 'remembered';
  /** Microseconds of one layer's attention, dense and sifted, that it was found from. */
  samples: { length: number; dense: number; sift: number }[];
  /** Workgroups that the kernels of a dense and of a one-pass sifted step are spread over. */
  workgroups: number;
  siftWorkgroups: number;
  /** What measuring took. */
  milliseconds: number;
}

/**
 * How fast the latest generation was, by the wall clock: the median over its newest decode steps, 64 at most. A step counts from the end of
 * the one before, so that sampling, the app's own work and its pauses are part of it; the prompt is not. Steps while sift was
 * off do not count.
 */
export interface SpeedReport {
  /** Milliseconds from one token of a sequence to the next; null before the first decode step. */
  millisecondsPerToken: number | null;
  /** The same as tokens of a sequence in a second. */
  tokensPerSecond: number | null;
  /** Steps that the median is over. */
  steps: number;
}

/** What the plugin did, for the latest conversation. Plain data: `JSON.stringify` keeps all of it. */
export interface SiftReport {
  enabled: boolean;
  /** Why the GPU device is gone, if it is: figures that lay on it are then missing. */
  lost: string | null;
  /**
   * Name of the policy and what was asked of it. `keys`: what the scores came from that decided which rows were read, all of K or its
   * shadow.
   */
  policy: {
    name: string;
    target: string;
    requestedKept: number | null;
    warmup: number;
    keys: 'exact' | 'shadow';
  };
  /**
   * The runtime. `tested`: the tests ran on a version whose attention binds the same; `version`: which, null if there is none. A runtime
   * does not say its version, and another one is served all the same if its programs are recognised and ours compute the same.
   */
  runtime: { name: string; version: string | null; tested: boolean };
  /** Decode steps that sifted, and those that kept every row (see `reasons`). */
  steps: { sifted: number; dense: number };
  /** Of the dense steps, those that were shorter than the crossover: sifting them would have been no gain. */
  shortSteps: number;
  /** Decode steps of which no layer came to our kernels: the runtime did all of them (see `reasons`). */
  stockSteps: number;
  /** How fast the latest generation was. */
  speed: SpeedReport;
  /** For every shape of the model's attention. */
  crossover: CrossoverReport[];
  /** Prompts since the plugin was enabled. */
  conversations: number;
  /** Keys in the cache. */
  length: number;
  /** Mean of the layers' `keptHead`; null before the first sifted step. */
  keptHead: number | null;
  /** Mean of the layers' `keptGroup`; null before the first sifted step. */
  keptGroup: number | null;
  /**
   * Bytes that the plugin's kernels read of K, of its shadow, and of V; and those of K and V that they did not read. `shadowMemory`: bytes
   * of GPU memory that the shadow of the latest conversation takes.
   */
  bytes: {
    keysRead: number;
    keysSaved: number;
    shadowRead: number;
    valuesRead: number;
    valuesSaved: number;
    shadowMemory: number;
  };
  /** The KV cache, over all conversations. */
  cache: CacheReport;
  layers: LayerReport[];
  /** Why steps or layers were dense or left to the runtime's own kernel, with counts. */
  reasons: { reason: string; count: number }[];
}

/** Options of `sift.report`. */
export interface ReportOptions {
  /** A small report, with a sentence that says the most important. Default false. */
  summary?: boolean | undefined;
}

/** A {@link SiftReport} without its layers and heads. Plain data. */
export interface SiftSummary extends Omit<SiftReport, 'layers'> {
  /** Layers whose attention goes through our kernels. */
  layerCount: number;
  /** What was done, in one English sentence. */
  sentence: string;
}
