/** A message of a chat. */
export interface ChatMessage {
  role: string;
  content: unknown;
}

/**
 * What `sift.compare` decodes: a text, the messages of a chat, or the ids of tokens. A text and messages need a tokenizer, which a bare
 * model of transformers.js has not. web-llm takes no ids.
 */
export type ComparePrompt = string | readonly ChatMessage[] | ArrayLike<number | bigint>;

/** Options of `sift.compare`. */
export interface CompareOptions {
  /** Tokens to decode, at most: an end token ends both sides earlier. Default 64. */
  maxNewTokens?: number | undefined;
  /**
   * Whether the predictions are compared, too, which keeps the logits of every token of stock until the end: 4 bytes for each word of
   * the vocabulary. Default true. web-llm gives no logits.
   */
  divergence?: boolean | undefined;
  /** Ends the comparison between two tokens. The promise then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** What one side of a comparison decoded. */
export interface ComparedRun {
  /** Ids of the new tokens. On transformers.js the end token is among them. */
  tokens: number[];
  /** The text of the new tokens; null where there is no tokenizer. */
  text: string | null;
  /** From the start until the first token was known, in milliseconds: mostly the prompt, which sift leaves to the runtime. */
  firstTokenMilliseconds: number;
  /** Median time of the tokens after the first, in milliseconds; null if there is none. */
  millisecondsPerToken: number | null;
}

/** What `sift.compare` found. Plain data: `JSON.stringify` keeps all of it. */
export interface Comparison {
  /** Tokens of the prompt; null if the runtime does not say. */
  promptTokens: number | null;
  /** The runtime alone. */
  stock: ComparedRun;
  /** The same with sift. */
  sift: ComparedRun;
  /** Index of the first new token in which the two differ, or which only one of them has; null if they are the same. */
  firstDifference: number | null;
  /**
   * How far the predictions of sift are from those of stock after the same tokens, namely those of stock: the Kullback-Leibler divergence
   * in nats. `mean` and `max` over the `tokens` that decode steps predicted. Null where the runtime gives no logits, where they
   * were not asked for, or after one token.
   */
  divergence: { mean: number; max: number; tokens: number } | null;
  /** What the decode steps of the side with sift were: as in the report. Where nothing sifted, `reasons` say why. */
  steps: { sifted: number; dense: number; stock: number };
  reasons: { reason: string; count: number }[];
}
