import { env, type ProgressInfo, pipeline, type TextGenerationPipeline } from '@huggingface/transformers';
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import { hideNarrowSubgroups } from '../../../lab/narrow-subgroups.ts';
// In an application: import { enableSift } from 'sift-attention'.
import {
  enableSift,
  learnedPolicy,
  paperPolicy,
  type Quality,
  type Sift,
  type SiftOptions,
} from '../../../src/index.ts';

export type Dtype = 'q4' | 'q4f16' | 'fp16' | 'fp32';

export interface ModelChoice {
  /** A model id of the hub; null for the model that lies beside this page. */
  hubId: string | null;
  dtype: Dtype;
}

interface Crossover {
  /** Sift only from the length on at which it was measured to be faster. Off here, where sifting is to be seen: at once, at any length. */
  measured: boolean;
}

export type SiftChoice =
  | (Crossover & {
      method: Exclude<Quality, 'exact'>;
    })
  | (Crossover & {
      method: 'learned' | 'paper';
      tau: number;
      warmup: number;
    });

function siftOptions(choice: SiftChoice): SiftOptions {
  const siftFrom = choice.measured ? 'auto' : 0;
  if (!('tau' in choice)) return { quality: choice.method, siftFrom };
  return { siftFrom, mode: choice.method, tau: choice.tau, warmup: choice.warmup };
}

/** Decode steps that keep every row while thresholds are learned. */
export const warmupOf = (choice: SiftChoice): number => ('warmup' in choice ? choice.warmup : 0);

export interface Loaded {
  choice: ModelChoice;
  generator: TextGenerationPipeline;
  sift: Sift;
  siftChoice: SiftChoice;
  /** Longest context in tokens. */
  context: number;
  /** The model has a chat template. */
  chat: boolean;
}

/** Reports what is going on; `fraction` is null while there is no telling how long it takes. */
export type OnProgress = (what: string, fraction: number | null) => void;

// The runtime's WebAssembly comes from this page's own server, not from a CDN.
env.backends.onnx.wasm!.wasmPaths = { wasm: wasmUrl };

// On software adapters the runtime would answer prompts wrongly, with and without sift.
hideNarrowSubgroups();

/** Where transformers.js takes files from. */
function setSources(hub: boolean): void {
  env.allowLocalModels = !hub;
  env.allowRemoteModels = hub;
  env.localModelPath = './models/';
  env.useBrowserCache = hub;
}

const same = (a: object, b: object): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Throws what is wrong with the options before anything is unloaded for them. */
export function checkOptions(choice: SiftChoice): void {
  if ('tau' in choice) (choice.method === 'paper' ? paperPolicy : learnedPolicy)(choice);
}

/**
 * Gives the model and the plugin as chosen, and keeps what is loaded already: only a change of the model loads again, a
 * change of the options enables the plugin anew.
 */
export async function ensureLoaded(
  loaded: Loaded | undefined,
  choice: ModelChoice,
  siftChoice: SiftChoice,
  onProgress: OnProgress,
): Promise<Loaded> {
  if (loaded && same(loaded.choice, choice)) {
    if (same(loaded.siftChoice, siftChoice)) return loaded;
    onProgress('Enabling sift with the new options', null);
    loaded.sift.dispose();
    try {
      loaded.sift = await enableSift(loaded.generator, siftOptions(siftChoice));
    } catch (error) {
      await loaded.generator.dispose();
      throw error;
    }
    loaded.siftChoice = siftChoice;
    return loaded;
  }
  await loaded?.generator.dispose();
  setSources(choice.hubId !== null);
  onProgress('Loading the model', 0);
  const generator = await pipeline('text-generation', choice.hubId ?? 'tiny', {
    device: 'webgpu',
    dtype: choice.dtype,
    progress_callback: (info: ProgressInfo) => {
      if (info.status === 'progress_total') onProgress('Loading the model', info.progress / 100);
    },
  });
  onProgress('Self-test of the plugin on this GPU', null);
  try {
    // Right after pipeline(), before the first generation.
    const sift = await enableSift(generator, siftOptions(siftChoice));
    const config = generator.model.config as unknown as { max_position_embeddings?: number };
    const { chat_template } = generator.tokenizer as unknown as { chat_template?: unknown };
    return {
      choice,
      generator,
      sift,
      siftChoice,
      context: config.max_position_embeddings ?? 4096,
      chat: Boolean(chat_template),
    };
  } catch (error) {
    await generator.dispose();
    throw error;
  }
}
