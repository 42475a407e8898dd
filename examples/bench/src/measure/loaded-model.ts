import { env, pipeline, Tensor, type TextGenerationPipeline } from '@huggingface/transformers';
import { runtimeDevice } from '../../../../lab/decoding/decoder.ts';
import excerpt from '../../../../models/text/excerpt.txt?raw';
import type { BenchModelChoice, Dtype } from './models.ts';
import { GivenPast } from './past.ts';
import { TimedStreamer } from './timed-streamer.ts';

/** When the tokens of a generation came. */
export interface Generation {
  /** Keys in the cache when decoding began. */
  context: number;
  /** Milliseconds from the call to the first token; null where no prompt ran. */
  firstTokenMs: number | null;
  /** Milliseconds of each decode step, the first one included. */
  steps: number[];
}

export interface GenerateOptions {
  /** Keys: a prompt of as many tokens, or a past that is given. */
  context: number;
  past: boolean;
  /** Decode steps. */
  steps: number;
  signal: AbortSignal;
  /** Gets the number of steps that have been decoded. */
  onStep?: (steps: number) => void;
}

/** A model that the page has loaded, and what it is measured with. */
export class LoadedModel {
  private readonly prompts = new Map<number, string>();
  private past: GivenPast | undefined;

  private constructor(
    readonly choice: BenchModelChoice,
    readonly dtype: Dtype,
    readonly generator: TextGenerationPipeline,
    readonly device: GPUDevice,
    readonly loadMs: number,
  ) {}

  /** @param onProgress - gets the share of the files that has been made and read */
  static async load(
    choice: BenchModelChoice,
    dtype: Dtype,
    onProgress: (share: number) => void,
  ): Promise<LoadedModel> {
    const begin = performance.now();
    const { id, end } = await choice.serve(dtype);
    try {
      const generator = (await pipeline('text-generation', id, {
        device: 'webgpu',
        dtype,
        progress_callback: (info: { status: string; progress?: number }) => {
          if (info.status === 'progress_total') onProgress((info.progress ?? 0) / 100);
        },
      } as never)) as TextGenerationPipeline;
      const device = await runtimeDevice(env.backends.onnx);
      return new LoadedModel(choice, dtype, generator, device, performance.now() - begin);
    } finally {
      end();
    }
  }

  /** Generates greedily, as an application does. */
  async generate({ context, past, steps, signal, onStep }: GenerateOptions): Promise<Generation> {
    const { generator } = this;
    const streamer = new TimedStreamer(generator.tokenizer, (tokens) => onStep?.(tokens - 1));
    const stop = (ids: unknown[]) => ids.map(() => signal.aborted);
    const options = {
      max_new_tokens: steps + 1,
      eos_token_id: -1, // no token ends the text: all turns decode equally many
      do_sample: false,
      streamer,
      stopping_criteria: [stop],
    } as object;
    const begin = past ? await this.onPast(context, options) : await this.onPrompt(context, options);
    signal.throwIfAborted();
    const { times } = streamer;
    return {
      context,
      firstTokenMs: past ? null : times[0]! - begin,
      steps: times.slice(1).map((time, i) => time - times[i]!),
    };
  }

  /** Frees the past that was given last. */
  freePast(): void {
    this.past?.destroy();
    this.past = undefined;
  }

  async dispose(): Promise<void> {
    this.freePast();
    await this.generator.dispose();
  }

  /** @returns when the generation began */
  private async onPrompt(context: number, options: object): Promise<number> {
    const prompt = this.prompt(context);
    await this.device.queue.onSubmittedWorkDone();
    const begin = performance.now();
    await this.generator(prompt, { ...options, return_full_text: false });
    return begin;
  }

  private async onPast(context: number, options: object): Promise<number> {
    // The last token of the context is the prompt: the model must run once before it decodes.
    const length = context - 1;
    if (this.past?.length !== length) {
      this.freePast();
      const { layers, kvHeads, headSize } = this.choice.shape;
      const type = this.dtype === 'q4f16' ? 'float16' : 'float32';
      this.past = await GivenPast.create(this.device, { layers, kvHeads, headSize, type }, length);
    }
    const cache = this.past.cache();
    const ids = BigInt64Array.from({ length: context }, (_, i) => BigInt(1 + ((i * 131) % 8000)));
    const mask = new BigInt64Array(context).fill(1n);
    await this.device.queue.onSubmittedWorkDone();
    const begin = performance.now();
    await this.generator.model.generate({
      input_ids: new Tensor('int64', ids, [1, context]),
      attention_mask: new Tensor('int64', mask, [1, context]),
      past_key_values: cache,
      ...options,
    } as never);
    await cache.dispose();
    return begin;
  }

  /** A prompt of exactly so many tokens: parts of a text in turn. */
  private prompt(tokens: number): string {
    const known = this.prompts.get(tokens);
    if (known !== undefined) return known;
    const { tokenizer } = this.generator;
    const count = (text: string): number => tokenizer.encode(text).length;
    const once = tokenizer.encode(excerpt);
    const ids: number[] = [];
    while (ids.length < tokens + 8) ids.push(...once);
    // Texts that are cut do not always give the same tokens back. A few more or fewer are tried.
    for (let length = tokens + 8; length > tokens - 8; length--) {
      const text = tokenizer.decode(ids.slice(0, length));
      if (count(text) === tokens) {
        this.prompts.set(tokens, text);
        return text;
      }
    }
    throw new Error(`no prompt of ${tokens} tokens was found`);
  }
}
