// What the page and the worker say to each other.

export type ToWorker =
  | { type: 'load'; model: string; dtype: string }
  | { type: 'ask'; text: string; maxNewTokens: number }
  | { type: 'stop' }
  | { type: 'new chat' };

export type FromWorker =
  | { type: 'progress'; text: string }
  /** `withoutSift` says why the model works without sift, where it does. */
  | { type: 'ready'; withoutSift: string | null }
  | { type: 'text'; text: string }
  | { type: 'answered'; figures: Figures }
  /** `code` is that of a SiftError. */
  | { type: 'failed'; code: string | null; message: string };

export interface Figures {
  /** Tokens of the conversation. */
  tokens: number;
  /** How many of them were in the cache when the question came, and were not read again. */
  cached: number;
  tokensPerSecond: number | null;
  /** What sift did, in a sentence. */
  sentence: string;
}
