// The model that is loaded, with sift as the settings ask for it.
import { env, type ProgressInfo, pipeline, type TextGenerationPipeline } from '@huggingface/transformers';
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import { enableSift, type Sift } from 'sift-attention';
import { PlainError } from './explain.ts';
import type { ModelState, Settings } from './protocol.ts';

export interface Loaded {
  readonly generator: TextGenerationPipeline;
  /** Whether the model chats, or goes on with a text. */
  readonly chat: boolean;
  /** Tokens that the model can take, prompt and answer. */
  readonly positions: number;
  sift: Sift | undefined;
}

// The runtime's WebAssembly is part of the extension, and its JavaScript part of this bundle. One thread is enough, because the work is
// on the GPU. More would need a document that is isolated from other origins.
env.backends.onnx.wasm!.wasmPaths = { wasm: wasmUrl };
env.backends.onnx.wasm!.numThreads = 1;
env.useWasmCache = false;
env.localModelPath = new URL('models/', self.location.origin).href;

let loaded: Loaded | undefined;
let modelKey = '';
let siftKey = '';

export async function unload(): Promise<void> {
  const { generator, sift } = loaded ?? {};
  loaded = undefined;
  modelKey = siftKey = '';
  sift?.dispose();
  // On a lost device this fails, and there is nothing left to free.
  await generator?.dispose().catch(() => {});
}

async function adapterName(): Promise<string> {
  const { info } = (await navigator.gpu?.requestAdapter()) ?? {};
  return info?.description || [info?.vendor, info?.architecture].filter(Boolean).join(' ') || 'unknown GPU';
}

async function load({ model, dtype }: Settings, onState: (state: ModelState) => void): Promise<Loaded> {
  const embedded = model === 'embedded';
  const name = embedded ? 'the embedded model' : model;
  env.allowLocalModels = embedded;
  env.allowRemoteModels = !embedded;
  // The browser's cache takes files of the hub. It refuses those of an extension, which are on the disk anyway.
  env.useBrowserCache = !embedded;
  onState({ phase: 'none' });
  if (!(await navigator.gpu?.requestAdapter()))
    throw new PlainError(
      'This browser has no WebGPU, or no graphics adapter for it, and the model runs on nothing else. The page chrome://gpu says why. Switching on graphics acceleration in the browser’s settings may help.',
    );
  onState({ phase: 'loading', name, fraction: null });
  const generator = await pipeline('text-generation', embedded ? 'tiny' : model, {
    device: 'webgpu',
    dtype: embedded ? 'q4' : dtype,
    progress_callback: (info: ProgressInfo) => {
      if (info.status === 'progress_total')
        onState({ phase: 'loading', name, fraction: info.progress / 100 });
    },
  });
  const config = generator.model.config as unknown as { max_position_embeddings?: number };
  const { chat_template } = generator.tokenizer as unknown as { chat_template?: unknown };
  return {
    generator,
    chat: Boolean(chat_template),
    positions: config.max_position_embeddings ?? 2048,
    sift: undefined,
  };
}

/**
 * The model of the settings. It is loaded if another was, and sift is enabled anew if the preset is another.
 *
 * @param onState - is told what goes on
 */
export async function modelFor(settings: Settings, onState: (state: ModelState) => void): Promise<Loaded> {
  const wantedModel = JSON.stringify([settings.model, settings.dtype]);
  if (!loaded || modelKey !== wantedModel) {
    await unload();
    loaded = await load(settings, onState);
    modelKey = wantedModel;
  }
  const { quality, siftFrom } = settings;
  const wantedSift = JSON.stringify([quality, siftFrom]);
  if (siftKey === wantedSift) return loaded;
  const name = settings.model === 'embedded' ? 'the embedded model' : settings.model;
  loaded.sift?.dispose();
  loaded.sift = undefined;
  siftKey = '';
  if (quality !== 'off') {
    onState({ phase: 'enabling', name, fraction: null });
    // Where sift cannot work, the model still does.
    loaded.sift = await enableSift(loaded.generator, {
      quality,
      siftFrom,
      onUnsupported: 'ignore',
      onProgress: ({ fraction }) => onState({ phase: 'enabling', name, fraction }),
    });
  }
  siftKey = wantedSift;
  const siftOff = loaded.sift?.unsupported?.message ?? null;
  onState({ phase: 'ready', name, adapter: await adapterName(), quality, siftOff });
  return loaded;
}
