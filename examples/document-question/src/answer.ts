// The model, and a question to it about a text.
import {
  env,
  InterruptableStoppingCriteria,
  type ProgressInfo,
  pipeline,
  type TextGenerationPipeline,
  TextStreamer,
} from '@huggingface/transformers';
import { enableSift, type Sift } from 'sift-attention';

export interface Model {
  readonly generator: TextGenerationPipeline;
  readonly sift: Sift;
}

/**
 * Loads a model and enables sift on it.
 *
 * @param name - an id of the hub, or a folder of this server if it begins with a slash
 */
export async function loadModel(
  name: string,
  dtype: string,
  onProgress: (text: string) => void,
): Promise<Model> {
  env.allowLocalModels = name.startsWith('/');
  env.allowRemoteModels = !env.allowLocalModels;
  env.localModelPath = location.origin;
  const generator = await pipeline('text-generation', name, {
    device: 'webgpu',
    dtype: dtype as 'q4f16',
    progress_callback: (info: ProgressInfo) => {
      if (info.status === 'progress_total') onProgress(`Loading ${name}: ${Math.round(info.progress)}%`);
    },
  });
  // Before the first generation. Where sift cannot work, the model works as it does without it.
  const sift = await enableSift(generator, {
    onUnsupported: 'ignore',
    onProgress: ({ stage }) => onProgress(`Enabling sift: ${stage}`),
  });
  return { generator, sift };
}

/** How a model is asked. One that does not chat goes on with a text, and so the answer begins in the prompt. */
function promptOf({ tokenizer }: TextGenerationPipeline, text: string, question: string) {
  if (tokenizer.chat_template) {
    return [
      { role: 'user', content: `${text}\n\nAnswer from the text above, in a sentence.\n\n${question}` },
    ];
  }
  const begins = question.replace(
    /^What is (.*?)\??$/,
    (_, subject: string) => ` ${subject[0]?.toUpperCase()}${subject.slice(1)} is`,
  );
  return `${text}\n\nQuestion: ${question}\nAnswer:${begins === question ? '' : begins}`;
}

export interface Answer {
  /** Tokens of the text that the model has read; `cut` if it did not take all. */
  readonly read: number;
  readonly cut: boolean;
  /** Of each token but the first, which is that of the prompt. */
  readonly millisecondsPerToken: number | null;
  /** What sift did, in a sentence. */
  readonly sentence: string;
}

/** Ends an answer that is being written. */
export const stopper = new InterruptableStoppingCriteria();

export async function answer(
  { generator, sift }: Model,
  text: string,
  question: string,
  maxNewTokens: number,
  onText: (piece: string) => void,
): Promise<Answer> {
  const { tokenizer } = generator;
  const { max_position_embeddings: limit = 2048 } = generator.model.config as {
    max_position_embeddings?: number;
  };
  // What is around the text takes some tokens, too.
  const room = limit - maxNewTokens - tokenizer.encode(question).length - 64;
  const tokens = tokenizer.encode(text, { add_special_tokens: false });
  const cut = tokens.length > room;
  const shown = cut ? tokenizer.decode(tokens.slice(0, room)) : text;

  const times: number[] = [];
  const streamer = new TextStreamer(tokenizer, {
    skip_prompt: true,
    skip_special_tokens: true,
    callback_function: onText,
    token_callback_function: () => {
      times.push(performance.now());
    },
  });
  stopper.reset();
  await generator(promptOf(generator, shown, question), {
    max_new_tokens: maxNewTokens,
    do_sample: false,
    streamer,
    stopping_criteria: stopper,
    tokenizer_encode_kwargs: { enable_thinking: false },
  } as object);
  const steps = times.length - 1;
  return {
    read: Math.min(tokens.length, room),
    cut,
    millisecondsPerToken: steps > 0 ? (times[steps]! - times[0]!) / steps : null,
    sentence: (await sift.report({ summary: true })).sentence,
  };
}
