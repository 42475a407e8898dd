// Stock and sift on the same prompt, on web-llm. It is loaded with the first comparison.
import type {
  ChatMessage,
  ComparedRun,
  CompareOptions,
  ComparePrompt,
  Comparison,
} from '../../comparison.ts';
import { invalidOption, SiftError } from '../../errors.ts';
import { type ComparePlan, comparedRun, comparing, firstDifference, stepsOf } from '../shared/comparing.ts';
import type { LifeCycle } from '../shared/life-cycle.ts';
import type { ComparedRequest, PipelineSift } from './pipeline-sift.ts';
import type { Engine } from './target.ts';

/** What is compared. */
export interface ComparedEngine {
  engine: Engine;
  life: LifeCycle;
  /** The model that worked last; undefined if none is loaded. */
  model: PipelineSift | undefined;
}

/** A piece of a reply, as web-llm streams it. */
interface Chunk {
  choices: { delta?: { content?: string | null }; finish_reason?: string | null }[];
  usage?: { prompt_tokens: number } | null;
}

interface Reply extends ComparedRun {
  promptTokens: number | null;
}

/** As `sift.compare`. */
export function compare(
  { engine, life, model }: ComparedEngine,
  prompt: ComparePrompt,
  options: CompareOptions,
): Promise<Comparison> {
  return comparing(life, options, async (plan) => {
    const messages = messagesOf(prompt);
    if (!model) throw invalidOption('engine', engine, 'an engine that has loaded a model');
    await model.ready;
    if (model.refused) throw model.refused;
    const reply = (conversation: ComparedRequest['conversation']) =>
      request(engine, model, { mark: [], conversation }, messages, plan);
    const { promptTokens, ...stock } = await reply(undefined);
    const conversation = model.newConversation();
    try {
      const { promptTokens: _, ...sift } = await reply(conversation);
      return {
        promptTokens,
        stock,
        sift,
        firstDifference: firstDifference(stock.tokens, sift.tokens),
        divergence: null,
        ...stepsOf(conversation),
      };
    } finally {
      model.endCompared(conversation);
    }
  });
}

function messagesOf(prompt: ComparePrompt): readonly ChatMessage[] {
  if (typeof prompt === 'string' && prompt.length > 0) return [{ role: 'user', content: prompt }];
  if (
    Array.isArray(prompt) &&
    prompt.length > 0 &&
    prompt.every((message) => typeof message?.role === 'string')
  )
    return prompt;
  throw invalidOption('prompt', prompt, 'a text or the messages of a chat');
}

/** One request of the engine's, which waits until those of the app before it are done. */
async function request(
  engine: Engine,
  model: PipelineSift,
  compared: ComparedRequest,
  messages: readonly ChatMessage[],
  { count, signal }: ComparePlan,
): Promise<Reply> {
  const { pipeline } = model;
  const id = [...engine.loadedModelIdToPipeline].find(([, each]) => each === pipeline)?.[0];
  signal?.throwIfAborted();
  model.compared = compared;
  try {
    let last = performance.now();
    const chunks = (await engine.chat.completions.create({
      ...{ messages, model: id, stream: true, stream_options: { include_usage: true } },
      ...{ temperature: 0, max_tokens: count, stop: compared.mark },
    })) as AsyncIterable<Chunk>;
    const milliseconds: number[] = [];
    let [text, promptTokens]: [string, number | null] = ['', null];
    let tokens: number[] | undefined;
    for await (const { choices, usage } of chunks) {
      promptTokens = usage?.prompt_tokens ?? promptTokens;
      const [choice] = choices;
      if (choice?.finish_reason) tokens = [...(pipeline.outputIds ?? [])];
      else if (choice) {
        const now = performance.now();
        milliseconds.push(now - last);
        last = now;
        text += choice.delta?.content ?? '';
      }
      // The stream is taken to its end: in some versions one that is left behind blocks the model.
      if (signal?.aborted) engine.interruptGenerate();
    }
    signal?.throwIfAborted();
    if (!tokens || pipeline.outputIds === undefined) {
      const message = 'This version of web-llm does not say which tokens it has decoded.';
      throw new SiftError('UNSUPPORTED_RUNTIME', message);
    }
    return { ...comparedRun(tokens, text, milliseconds), promptTokens };
  } finally {
    model.compared = undefined;
  }
}
