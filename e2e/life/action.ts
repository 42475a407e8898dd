// What a sequence of life is made of: plain data, so that a sequence can be sent to a page, printed, kept in a file and replayed.

/** Pipelines that a page may have at a time; the last has another model than the others. */
export const SLOTS = 3;
/** The model of each slot, by its name on the server. */
export const MODEL_OF_SLOT = ['grouped', 'grouped', 'single'] as const;
/** Tokens of the models' vocabulary. */
export const VOCABULARY = 256;

/** Options of `enableSift` by name; each has `siftFrom: 0`, so that short texts are sifted, too. */
export const POLICIES = {
  exact: { quality: 'exact' },
  default: {},
  'exact on the stock cache': { quality: 'exact', cache: 'stock' },
  shadow: { keys: 'shadow' },
  learned: { tau: 0.75, warmup: 3 },
  paper: { mode: 'paper', tau: 0.5, warmup: 2 },
} as const;
export type PolicyName = keyof typeof POLICIES;
export const POLICY_NAMES = Object.keys(POLICIES) as PolicyName[];
export const isExact = (policy: PolicyName | null) =>
  policy === null || policy === 'exact' || policy === 'exact on the stock cache';

/** Tokens that a number stands for. */
export interface Text {
  readonly seed: number;
  readonly length: number;
}

/** Something that is done to the pipeline's sift when a generation has made a number of tokens. */
export interface Interjection {
  readonly at: number;
  readonly does: 'enable' | 'disable' | 'dispose' | 'report';
}

/** One call of `generate`. */
export interface Call {
  readonly kind: 'greedy' | 'sample' | 'beams' | 'several' | 'stream';
  /** More than one: a batch, padded on the left. */
  readonly prompts: readonly Text[];
  /** New tokens. */
  readonly count: number;
  /** Of the library's random numbers, where it samples. */
  readonly seed: number;
  /** After so many tokens the generation is interrupted. */
  readonly stopAt: number | null;
  /** After so many tokens a function of the app's throws. */
  readonly throwAt: number | null;
  readonly interjection: Interjection | null;
}

/** Methods that another library may wrap, on the device, its queue, or a pipeline's session or model. */
export const WRAPPED = [
  ['device', 'createBindGroup'],
  ['device', 'createCommandEncoder'],
  ['device', 'createShaderModule'],
  ['device', 'createComputePipeline'],
  ['device', 'createComputePipelineAsync'],
  ['device', 'createBuffer'],
  ['queue', 'writeBuffer'],
  ['queue', 'submit'],
  ['session', 'run'],
  ['session', 'release'],
  ['model', 'generate'],
] as const;

export type Action =
  | { readonly do: 'load' | 'unload'; readonly slot: number }
  | { readonly do: 'enable' | 'enable twice'; readonly slot: number; readonly policy: PolicyName }
  | { readonly do: 'enable both'; readonly slot: number; readonly other: number; readonly policy: PolicyName }
  | {
      readonly do: 'enable while generating';
      readonly slot: number;
      readonly other: number;
      readonly policy: PolicyName;
      readonly call: Call;
    }
  | {
      readonly do: 'unload while enabling';
      readonly slot: number;
      readonly policy: PolicyName;
      readonly delay: number;
    }
  | { readonly do: 'switch on' | 'switch off' | 'dispose' | 'report'; readonly slot: number }
  | { readonly do: 'generate'; readonly slot: number; readonly call: Call }
  | {
      readonly do: 'generate together';
      readonly slot: number;
      readonly other: number;
      readonly call: Call;
      readonly otherCall: Call;
    }
  | { readonly do: 'begin chat'; readonly slot: number; readonly call: Call }
  | { readonly do: 'go on'; readonly chat: number; readonly call: Call }
  | { readonly do: 'crop'; readonly chat: number; readonly length: number }
  | { readonly do: 'two continuations'; readonly chat: number; readonly texts: readonly [Text, Text] }
  | { readonly do: 'forget chat'; readonly chat: number }
  | { readonly do: 'wrap'; readonly slot: number; readonly method: number }
  | { readonly do: 'unwrap'; readonly which: number; readonly blindly: boolean };

/** What came of a call: its tokens, the logits that they were chosen by, or an error. */
export interface Outcome {
  /** By row: all tokens, the prompt among them. */
  readonly tokens: readonly (readonly number[])[];
  /** By step and row. */
  readonly logits: readonly (readonly (readonly number[])[])[];
  readonly error: string | null;
  /** What an interjection threw, if anything. */
  readonly interjected: string | null;
}

/** A part of a conversation: a call on the cache so far, the cache being cut, or two continuations of it, which leave it as it is. */
export type Part =
  | { readonly call: Call; readonly policy: PolicyName | null; readonly on: boolean }
  | { readonly crop: number }
  | { readonly texts: readonly [Text, Text]; readonly policy: PolicyName | null; readonly on: boolean };

/** A conversation from its beginning, as it is done again without anything between its parts. */
export interface Script {
  readonly model: string;
  readonly parts: readonly Part[];
}

/** The tokens of a text. */
export function tokensOf({ seed, length }: Text): number[] {
  // A linear congruential generator: the low bits of its states are poor, the high ones are used.
  let state = (seed * 2654435761) >>> 0;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 8 + ((state >>> 8) % (VOCABULARY - 16));
  });
}
