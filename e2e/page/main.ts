// What the end-to-end tests call in the browser: the real transformers.js, the real model, the real plugin.
import {
  AutoModelForSpeechSeq2Seq,
  env,
  InterruptableStoppingCriteria,
  type PreTrainedModel,
  pipeline,
  Tensor,
  type TextGenerationPipeline,
  TextStreamer,
} from '@huggingface/transformers';
import { type Continuation, continueGreedily } from '../../lab/decoding/forced.ts';
import { hubDecoder, useServedModels } from '../../lab/decoding/hub-decoder.ts';
import { hideNarrowSubgroups } from '../../lab/narrow-subgroups.ts';
import {
  enableSift,
  isSupported,
  SiftError,
  type ThresholdPolicy,
  uniformPolicy,
  validatePolicy,
} from '../../src/index.ts';
import { converse, countMemory, exhaustMemory, fork } from './cache.ts';

// Prompts are wrong in this runtime on subgroups of 4 lanes (the software adapter's); decode steps are right. Pages opened with
// ?subgroups keep them, so that both forms of the runtime's programs are met.
if (!location.search.includes('subgroups')) hideNarrowSubgroups();
useServedModels('/models/');

/** Greedy generation of several prompts at once, padded on the left; the new tokens of each. */
async function generateBatch(
  generator: TextGenerationPipeline,
  prompts: number[][],
  count: number,
  options: object = {},
): Promise<number[][]> {
  const length = Math.max(...prompts.map((ids) => ids.length));
  const rows = (value: (ids: number[], i: number) => number) => {
    const data = prompts.flatMap((ids) =>
      Array.from({ length }, (_, i) => (i < length - ids.length ? 0 : value(ids, i - length + ids.length))),
    );
    return new Tensor('int64', BigInt64Array.from(data, BigInt), [prompts.length, length]);
  };
  const output = (await generator.model.generate({
    inputs: rows((ids, i) => ids[i]!),
    attention_mask: rows(() => 1),
    max_new_tokens: count,
    do_sample: false,
    // The tests compare a given number of tokens, also past the end of a text.
    eos_token_id: -1,
    ...options,
  } as never)) as Tensor;
  const all = Array.from(output.data as BigInt64Array, Number);
  return prompts.map((_, row) => all.slice(row * (length + count) + length, (row + 1) * (length + count)));
}

const kept = new Map<string, Promise<TextGenerationPipeline>>();

const api = {
  env,
  enableSift,
  isSupported,
  /** A policy that chooses rows by the shadow at c / length. */
  shadowPolicy: (c: number): ThresholdPolicy => validatePolicy({ ...uniformPolicy({ c }), keys: 'shadow' }),
  Tensor,
  TextStreamer,
  InterruptableStoppingCriteria,
  /** Decodes given tokens after a prompt, and then `free` more steps greedily. */
  decodeForced: (
    generator: TextGenerationPipeline,
    prompt: number[],
    forced: number[],
    free: number,
  ): Promise<Continuation> => continueGreedily(hubDecoder(generator), prompt, forced, free),
  converse,
  fork,
  countMemory,
  exhaustMemory,
  load: (options: object = {}): Promise<TextGenerationPipeline> =>
    pipeline('text-generation', 'tiny', {
      device: 'webgpu',
      dtype: 'q4',
      ...options,
    }) as Promise<TextGenerationPipeline>,
  /** A model of the test's own (tools/models/small-decoder.ts). */
  loadSmall: (name: string, options: object = {}): Promise<TextGenerationPipeline> =>
    pipeline('text-generation', name, {
      device: 'webgpu',
      dtype: 'fp32',
      ...options,
    }) as Promise<TextGenerationPipeline>,
  /**
   * The same, loaded once for all tests of the page: on the software adapter the runtime takes seven seconds to compile a model's programs.
   * Tests leave it with sift off, and do not dispose of it.
   */
  keptSmall: (name: string): Promise<TextGenerationPipeline> => {
    const found = kept.get(name) ?? api.loadSmall(name);
    kept.set(name, found);
    return found;
  },
  /** A speech model of the test's own (tools/models/small-speech.ts). */
  loadSpeech: (name: string): Promise<PreTrainedModel> =>
    AutoModelForSpeechSeq2Seq.from_pretrained(name, { device: 'webgpu', dtype: 'fp32' }),
  /** Token ids of a text. */
  encode: (generator: TextGenerationPipeline, text: string): number[] =>
    Array.from((generator.tokenizer(text).input_ids as Tensor).data as BigInt64Array, Number),
  /** Greedy generation; the new tokens. */
  generate: async (generator: TextGenerationPipeline, ids: number[], count: number): Promise<number[]> =>
    (await generateBatch(generator, [ids], count))[0]!,
  generateBatch,
  /** Runs something that must fail; what the SiftError says. */
  failure: async (run: () => unknown): Promise<{ code: string; message: string }> => {
    try {
      await run();
    } catch (error) {
      if (error instanceof SiftError) return { code: error.code, message: error.message };
      throw error;
    }
    throw new Error('It did not fail.');
  },
};

export type TestApi = typeof api;

declare global {
  interface Window {
    sift: TestApi;
  }
}
window.sift = api;
