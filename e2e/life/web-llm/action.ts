// What a sequence of a web-llm engine's life is made of: plain data.

/** Options of `enableSift` by name; each has `siftFrom: 0`. */
export const POLICIES = {
  exact: { quality: 'exact' },
  default: {},
  learned: { tau: 0.75, warmup: 2 },
} as const;
export type PolicyName = keyof typeof POLICIES;

/** Methods that another library may wrap. */
export const WRAPPED = [
  ['device', 'createShaderModule'],
  ['device', 'createComputePipeline'],
  ['device', 'createBuffer'],
  ['device', 'createBindGroup'],
  ['queue', 'submit'],
  ['pipeline', 'forwardTokensAndSample'],
  ['pipeline', 'forwardDecodeToken'],
  ['pipeline', 'samplePrefillStep'],
  ['pipeline', 'resetKVCache'],
  ['models', 'set'],
] as const;

export type Action =
  | { readonly do: 'enable' | 'enable twice'; readonly policy: PolicyName }
  | { readonly do: 'load' | 'unload' | 'switch on' | 'switch off' | 'dispose' | 'report' | 'reset' }
  /** A request; `goesOn`: with the messages so far, else a conversation of its own. `stream`: in pieces. */
  | {
      readonly do: 'chat';
      readonly letters: number;
      readonly count: number;
      readonly goesOn: boolean;
      readonly stream: boolean;
    }
  /** A request that is interrupted after some pieces. */
  | { readonly do: 'interrupt'; readonly letters: number; readonly at: number }
  /** The cache is cut from outside, as a restored checkpoint is, and a step follows. */
  | { readonly do: 'cut'; readonly share: number }
  | { readonly do: 'wrap'; readonly method: number }
  | { readonly do: 'unwrap'; readonly which: number; readonly blindly: boolean };

/** What an action answers. */
export interface Answer {
  /** `ok`, the code of a SiftError, or another error. */
  readonly outcomes: readonly string[];
  /** The reply of a request. */
  readonly reply: string | null;
  /** The attention of the last decode step, by layer; null if none was made. */
  readonly outputs: readonly (readonly number[])[] | null;
  /** How far it is from dense attention in f64. */
  readonly error: number | null;
}
