import {
  env,
  InterruptableStoppingCriteria,
  type ProgressInfo,
  pipeline,
  type TextGenerationPipeline,
  TextStreamer,
} from '@huggingface/transformers';
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import { hideNarrowSubgroups } from '../../../lab/narrow-subgroups.ts';
// In an application: import { enableSift } from 'sift-attention'.
import {
  type Comparison,
  enableSift,
  type InspectedStep,
  type Quality,
  type Sift,
  type SiftReport,
  type SiftSummary,
} from '../../../src/index.ts';
import { dtypeHere } from './gpu.ts';
import type { ModelChoice } from './models.ts';

// The runtime's WebAssembly comes from this page's own server, not from a CDN.
env.backends.onnx.wasm!.wasmPaths = { wasm: wasmUrl };

// On software adapters the runtime would answer prompts wrongly, with and without sift.
hideNarrowSubgroups();

/** What to ask of the model. */
export interface Question {
  /** A text to go on with, or the message of a chat. */
  prompt: string;
  chat: boolean;
  newTokens: number;
}

/** What is told while an answer is made. */
export interface Listener {
  /** What is being done, and how much of it is done; null while there is no telling. */
  progress(what: string, fraction: number | null): void;
  /** The tokens of the prompt, as they go into the model. */
  prompt(tokens: bigint[]): void;
  /** The answer so far, the token that came, and when. */
  answer(text: string, tokens: number, milliseconds: number): void;
  /** Which V rows a step read. */
  step(step: InspectedStep): void;
}

/** A model that is loaded, with sift enabled on it. */
interface Loaded {
  model: ModelChoice;
  generator: TextGenerationPipeline;
  sift: Sift;
  quality: Quality;
}

/** The page's one model. Every method ends when its signal is aborted. */
export class Session {
  private loaded: Loaded | undefined;
  private readonly stopper = new InterruptableStoppingCriteria();

  /** The longest context of the model; undefined before it is loaded. */
  get context(): number | undefined {
    const config = this.loaded?.generator.model.config as { max_position_embeddings?: number } | undefined;
    return config?.max_position_embeddings;
  }

  /** Loads the model and enables sift, of which it keeps what is as it should be. */
  async load(model: ModelChoice, quality: Quality, listener: Listener, signal: AbortSignal): Promise<void> {
    const { loaded } = this;
    if (loaded && loaded.model === model && loaded.quality === quality) return;
    if (loaded && loaded.model === model) {
      loaded.sift.dispose();
      loaded.sift = await this.enable(loaded.generator, quality, listener, signal).catch((error) =>
        this.fail(error),
      );
      loaded.quality = quality;
      return;
    }
    await this.release();
    env.allowLocalModels = model.id === null;
    env.allowRemoteModels = model.id !== null;
    env.localModelPath = './models/';
    env.useBrowserCache = model.id !== null;
    listener.progress('Loading the model', 0);
    const dtype = await dtypeHere(model.dtype);
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    const loading = pipeline('text-generation', model.id ?? 'tiny', {
      device: 'webgpu',
      dtype,
      progress_callback: (info: ProgressInfo) => {
        if (info.status === 'progress_total' && !signal.aborted)
          listener.progress('Loading the model', info.progress / 100);
      },
    });
    // The library cannot be stopped while it loads. What it has loaded by then is thrown away.
    loading.then((late) => (signal.aborted ? late.dispose() : undefined)).catch(() => {});
    const generator = await Promise.race([loading, aborted]);
    try {
      // Right after pipeline(), before the first generation.
      const sift = await this.enable(generator, quality, listener, signal);
      this.loaded = { model, generator, sift, quality };
    } catch (error) {
      await generator.dispose();
      throw error;
    }
  }

  private enable(
    generator: TextGenerationPipeline,
    quality: Quality,
    listener: Listener,
    signal: AbortSignal,
  ): Promise<Sift> {
    return enableSift(generator, {
      quality,
      // An application leaves this out: then steps sift from the length on at which that is faster. Here sifting is to be seen at any length.
      siftFrom: 0,
      signal,
      onProgress: ({ stage, fraction }) => listener.progress(`Enabling sift: ${stage}`, fraction),
    });
  }

  /** The number of tokens of a text. */
  count(text: string): number {
    return this.loaded!.generator.tokenizer.encode(text).length;
  }

  decode(tokens: readonly bigint[]): string {
    return this.loaded?.generator.tokenizer.decode([...tokens], { skip_special_tokens: false }) ?? '';
  }

  /** Decodes an answer with sift. */
  async ask({ prompt, chat, newTokens }: Question, listener: Listener, signal: AbortSignal): Promise<void> {
    const { generator, sift } = this.loaded!;
    const { tokenizer } = generator;
    let text = '';
    let tokens = 0;
    let last = 0;
    const streamer = new TextStreamer(tokenizer, {
      skip_prompt: true,
      skip_special_tokens: true,
      token_callback_function: () => {
        const now = performance.now();
        tokens++;
        if (tokens > 1) listener.answer(text.trimStart(), tokens, now - last);
        last = now;
      },
      callback_function: (piece: string) => {
        text += piece;
        listener.answer(text.trimStart(), tokens, Number.NaN);
      },
    });
    const messages = [{ role: 'user', content: prompt }];
    const template = chat
      ? (tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true }) as string)
      : prompt;
    listener.prompt(tokenizer.encode(template, { add_special_tokens: !chat }).map(BigInt));
    listener.progress('Reading the document', null);
    this.stopper.reset();
    const stop = () => this.stopper.interrupt();
    signal.addEventListener('abort', stop, { once: true });
    const end = await sift.inspect((step) => listener.step(step));
    try {
      const options = {
        max_new_tokens: newTokens,
        do_sample: false,
        return_full_text: false,
        streamer,
        stopping_criteria: this.stopper,
      } as object;
      await generator(chat ? messages : prompt, options);
      signal.throwIfAborted();
    } finally {
      end();
      signal.removeEventListener('abort', stop);
    }
  }

  /** Decodes the same with the runtime alone and with sift. */
  compare({ prompt, chat, newTokens }: Question, signal: AbortSignal): Promise<Comparison> {
    const messages = [{ role: 'user', content: prompt }];
    return this.loaded!.sift.compare(chat ? messages : prompt, { maxNewTokens: newTokens, signal });
  }

  /** What sift did for the latest answer. */
  async report(): Promise<{ report: SiftReport; summary: SiftSummary }> {
    const { sift } = this.loaded!;
    return { report: await sift.report(), summary: await sift.report({ summary: true }) };
  }

  /** Lets the model go. */
  async release(): Promise<void> {
    const { loaded } = this;
    this.loaded = undefined;
    await loaded?.generator.dispose();
  }

  private async fail(error: unknown): Promise<never> {
    await this.release().catch(() => {});
    throw error;
  }
}
