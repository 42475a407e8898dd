import { SiftError } from '../../errors.ts';
import { fromFloat16 } from '../../kernel/gpu/float16.ts';
import { mostLikely } from '../shared/logits.ts';
import type { Client } from './client.ts';
import { type HubTensor, type ModelInputs, type OrtTensor, tensorClassOf } from './runtime.ts';
import type { TransformersSift } from './transformers-sift.ts';
import { disposeAll } from './trial.ts';

/** What is to be decoded. */
export interface GreedyTask {
  prompt: readonly number[];
  /** Tokens that are fed in place of the most likely ones, from the first on. */
  fed: readonly number[];
  /** Tokens to predict, at most. */
  count: number;
  /** Tokens after which nothing follows, unless another was fed in its place. */
  ends: readonly number[];
  signal: AbortSignal | undefined;
  /** Sees the logits that a token was chosen by, a copy. */
  visit?(index: number, logits: Float32Array): void;
}

/** What was predicted. */
export interface Decoded {
  /** The most likely token of each place. */
  tokens: number[];
  /** What each took. */
  milliseconds: number[];
}

/**
 * Decodes greedily, with the inputs that `generate` would feed. Every run of the model is a turn of its own (session-hook.ts): it never
 * rejects where the page's other runs would notice, and these have their turns in between.
 *
 * @param client of the runs that are routed; undefined: they are the runtime's alone
 * @throws {SiftError} `DISPOSED`, `DEVICE_LOST`, `UNSUPPORTED_MODEL`; the runtime's error if a run fails; the signal's reason
 */
export async function decodeGreedily(
  sift: TransformersSift,
  client: Client | undefined,
  { prompt, fed, count, ends, signal, visit }: GreedyTask,
): Promise<Decoded> {
  const { model } = sift.target;
  const Tensor = tensorClassOf(model);
  const int64 = (data: BigInt64Array) => new Tensor('int64', data, [1, data.length]);
  const all = [[...prompt].map(BigInt)];
  let inputs: ModelInputs = {
    input_ids: int64(BigInt64Array.from(all[0]!)),
    attention_mask: int64(new BigInt64Array(prompt.length).fill(1n)),
  };
  let outputs: Record<string, HubTensor> = {};
  const result: Decoded = { tokens: [], milliseconds: [] };
  try {
    for (let i = 0; i < count; i++) {
      signal?.throwIfAborted();
      const from = performance.now();
      if (i > 0) {
        const next = BigInt(fed[i - 1] ?? result.tokens[i - 1]!);
        all[0]!.push(next);
        const state = {
          generated_input_ids: [[next]],
          outputs,
          model_inputs: inputs,
          is_encoder_decoder: false,
        };
        inputs = sift.withMasks(client !== undefined, () => model._update_model_kwargs_for_generation(state));
      }
      const prepared = model.prepare_inputs_for_generation?.(all, inputs, model.generation_config ?? {});
      inputs = (prepared as ModelInputs | undefined) ?? inputs;
      outputs = await forward(sift, client, inputs);
      const logits = await lastLogits(outputs);
      const token = mostLikely(logits);
      result.milliseconds.push(performance.now() - from);
      result.tokens.push(token);
      visit?.(i, logits);
      if (i >= fed.length && ends.includes(token)) break;
    }
    return result;
  } finally {
    // The past of the last run, and what it put out: their tensors are no longer needed.
    for (const tensors of [inputs.past_key_values ?? {}, outputs])
      disposeAll(
        Object.fromEntries(Object.entries(tensors).map(([name, { ort_tensor }]) => [name, ort_tensor])),
      );
  }
}

/** Runs the model, with its session's run in the plugin's hands. */
async function forward(
  sift: TransformersSift,
  client: Client | undefined,
  inputs: ModelInputs,
): Promise<Record<string, HubTensor>> {
  const { model, sessionHook } = sift.target;
  let outputs: Record<string, HubTensor> | undefined;
  const made = await sessionHook.turn(
    async () => {
      outputs = await model.forward({ ...inputs });
    },
    [inputs.input_ids!.ort_tensor, inputs.attention_mask!.ort_tensor],
    (feeds) => (client ? sift.run(client, feeds, []) : sessionHook.trial(feeds)),
    (tensors) => tensors,
  );
  if (outputs) return outputs;
  disposeAll(made);
  throw new SiftError('UNSUPPORTED_MODEL', 'The model has run its decoder, but gives no outputs.');
}

/** A copy of the logits of the last token. */
async function lastLogits({ logits }: Record<string, HubTensor>): Promise<Float32Array> {
  if (!logits) throw new SiftError('UNSUPPORTED_MODEL', 'The decoder puts out no logits.');
  const tensor: OrtTensor = logits.ort_tensor;
  const data = (await tensor.getData()) as Float32Array | Uint16Array;
  const last = data.slice(-tensor.dims.at(-1)!);
  // Where there is no Float16Array, the runtime hands out the bits of f16 logits.
  return last instanceof Uint16Array ? Float32Array.from(last, fromFloat16) : Float32Array.from(last);
}
