// The model, in a worker: the page stays responsive while it loads and writes.
import {
  env,
  InterruptableStoppingCriteria,
  type ProgressInfo,
  pipeline,
  TextStreamer,
} from '@huggingface/transformers';
import { enableSift, type Sift, SiftError } from 'sift-attention';
import { Conversation } from './conversation.ts';
import type { FromWorker, ToWorker } from './messages.ts';

const tell = (message: FromWorker) => postMessage(message);
const stopper = new InterruptableStoppingCriteria();

let sift: Sift;
let conversation: Conversation;
let tokenizer: ConstructorParameters<typeof TextStreamer>[0];

async function load(model: string, dtype: string): Promise<void> {
  // A model is an id of the hub, or a folder of this server if it begins with a slash.
  env.allowLocalModels = model.startsWith('/');
  env.allowRemoteModels = !env.allowLocalModels;
  env.localModelPath = location.origin;
  const generator = await pipeline('text-generation', model, {
    device: 'webgpu',
    dtype: dtype as 'q4f16',
    progress_callback: (info: ProgressInfo) => {
      if (info.status === 'progress_total')
        tell({ type: 'progress', text: `Loading ${model}: ${Math.round(info.progress)}%` });
    },
  });
  // Right after the model is loaded, before its first generation. Where sift cannot work, the model works as it does without it.
  sift = await enableSift(generator, {
    onUnsupported: 'ignore',
    onProgress: ({ stage }) => tell({ type: 'progress', text: `Enabling sift: ${stage}` }),
  });
  tokenizer = generator.tokenizer;
  conversation = new Conversation(generator);
  const { unsupported } = sift;
  tell({ type: 'ready', withoutSift: unsupported && `${unsupported.code}: ${unsupported.message}` });
}

async function ask(text: string, maxNewTokens: number): Promise<void> {
  const { cached } = conversation;
  const times: number[] = [];
  const streamer = new TextStreamer(tokenizer, {
    skip_prompt: true,
    skip_special_tokens: true,
    callback_function: (piece: string) => tell({ type: 'text', text: piece }),
    token_callback_function: () => {
      times.push(performance.now());
    },
  });
  stopper.reset();
  await conversation.ask(text, maxNewTokens, { streamer, stopping_criteria: stopper });
  // The first token is that of the prompt, which takes a time of its own.
  const seconds = (times.at(-1)! - times[0]!) / 1000;
  const tokensPerSecond = times.length > 1 ? (times.length - 1) / seconds : null;
  const { sentence } = await sift.report({ summary: true });
  tell({ type: 'answered', figures: { tokens: conversation.length, cached, tokensPerSecond, sentence } });
}

/** Runs one task at a time, and tells the page if it fails. */
let last = Promise.resolve();
function run(task: () => Promise<void>): void {
  last = last.then(task).catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    tell({ type: 'failed', code: error instanceof SiftError ? error.code : null, message });
  });
}

addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === 'stop') stopper.interrupt();
  else if (data.type === 'load') run(() => load(data.model, data.dtype));
  else if (data.type === 'ask') run(() => ask(data.text, data.maxNewTokens));
  else run(() => conversation.clear());
});
