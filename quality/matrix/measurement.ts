// What the page of the model matrix measures. Plain data: it leaves the browser as JSON.

/** A decoding: a prompt of made-up tokens, and steps after it. */
export interface Span {
  /** Tokens of the prompt. */
  prompt: number;
  /** Decode steps after it. */
  steps: number;
}

/** How a model is measured. */
export interface DecodingPlan {
  /** Folder of the model, as the page's server knows it. */
  name: string;
  dtype: string;
  /** In which ours is held against stock. */
  long: Span;
  /** In which stock is held against stock, to the bit: it need not be long. */
  short: Span;
}

/** One decode step of ours beside stock's. Both were fed the same tokens, so every step stands for itself. */
export interface StepDifference {
  /** The most likely token of stock, and ours. */
  stock: number;
  ours: number;
  /** Between the two largest logits of stock. */
  gap: number;
  /** The largest difference of a logit. */
  largest: number;
  /** Between the largest and the smallest logit of stock. */
  range: number;
  /** KL(stock || ours) in nats. */
  kl: number;
}

/** An attention that sifted, and the rows that it read in these steps. */
export interface ServedLayer {
  /** The layer whose cache it attends to; several attentions may share one. */
  layer: number;
  /** Share of the V rows that were read. */
  keptGroup: number;
}

/** What decoding with the plugin gave. */
export interface OurDecoding {
  /** One for the prompt's last token and one for each decode step. */
  differences: StepDifference[];
  /** Attentions that sifted in one step at least. */
  layers: ServedLayer[];
  /** Decode steps that sifted, that read every row, and that the runtime did alone. */
  sifted: number;
  dense: number;
  stock: number;
  cache: 'shared' | 'stock';
  /** Why steps, layers or the cache are the runtime's. */
  reasons: string[];
}

/** What stock said in every step. */
export interface StockDecoding {
  /** The most likely tokens. */
  tokens: number[];
  /** Hashes of the logits: two steps share one only if all bits are the same. */
  digests: string[];
}

/** An error as text. */
export interface Failure {
  /** What was being done. */
  stage: string;
  name: string;
  message: string;
}

/** Stock in a page that the plugin was never in. */
export interface StockMeasurement {
  /** Layers with a KV cache. */
  layers: number;
  /** The device's adapter, its vendor before all else; empty if the model was not loaded. */
  adapter: string;
  /** The short span, as often as was asked for. */
  decodings: StockDecoding[];
  error: Failure | null;
}

/** A page with the plugin. What was not reached is null. */
export interface PluginMeasurement {
  /** As in {@link StockMeasurement}: each page has a browser of its own, which may find another adapter. */
  adapter: string;
  /** The `SiftError` with which `enableSift` refused. */
  refused: { code: string; message: string } | null;
  /** Any other error: one of the plugin, or of the runtime with the plugin there. */
  error: Failure | null;
  /** The short span with the plugin switched off, or after it refused. */
  before: StockDecoding | null;
  /** The long span, every row read by our kernels. */
  exact: OurDecoding | null;
  /** The default options, from the first key on. */
  sifted: OurDecoding | null;
  /** ... and with the plugin switched off again after it has sifted. */
  after: StockDecoding | null;
  /** Errors that nobody caught: of the page's own tasks, and promises that were rejected. */
  uncaught: string[];
}
