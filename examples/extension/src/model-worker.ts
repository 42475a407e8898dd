// Runs the model on the GPU, one question at a time.
import 'sift-attention/register'; // so that sift can be enabled again after a generation, when the preset changes
import { InterruptableStoppingCriteria, TextStreamer } from '@huggingface/transformers';
import { type Loaded, modelFor, unload } from './model.ts';
import { chatFrame, firstSentence, textFrame } from './prompt.ts';
import type { Ask, Exchange, FromWorker, ToWorker } from './protocol.ts';

const tell = (message: FromWorker) => postMessage(message);
const change = (id: string, changes: Partial<Exchange>) => tell({ type: 'exchange', id, change: changes });

const stopper = new InterruptableStoppingCriteria();
const waiting: Ask[] = [];
let current: Ask | undefined;
/** The user stopped the question that is being answered. */
let stopped = false;

const median = (values: readonly number[]): number | null =>
  values.length === 0 ? null : [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** The prompt as text, with as much of the page as may be read. */
function promptOf({ generator, chat, positions }: Loaded, { page, question, settings }: Ask) {
  const { tokenizer } = generator;
  const frame = chat ? chatFrame(page, question) : textFrame(question);
  const count = (text: string) => tokenizer.encode(text).length;
  // A chat template adds some tokens of its own.
  const around = count(frame.before) + count(frame.after) + (chat ? 64 : 4);
  const room = Math.min(settings.contextLimit, positions - settings.answerLimit) - around;
  if (room < 16) throw new Error('The question is too long for the number of tokens that may be read.');
  const tokens = tokenizer.encode(page.text, { add_special_tokens: false });
  const cut = tokens.length > room;
  const text = cut ? tokenizer.decode(tokens.slice(0, room), { skip_special_tokens: true }) : page.text;
  const whole = `${frame.before}${text}${frame.after}`;
  return { whole, cut, promptTokens: count(whole) };
}

async function answer(ask: Ask): Promise<void> {
  const loaded = await modelFor(ask.settings, (model) => tell({ type: 'model', model }));
  if (stopped) return change(ask.id, { status: 'stopped' });
  const { generator, chat, sift } = loaded;
  const { whole, cut, promptTokens } = promptOf(loaded, ask);
  change(ask.id, { status: 'reading', cut, promptTokens });

  const times: number[] = [];
  let text = '';
  let complete = false;
  const start = performance.now();
  const streamer = new TextStreamer(generator.tokenizer, {
    skip_prompt: true,
    skip_special_tokens: true,
    token_callback_function: () => {
      times.push(performance.now());
    },
    callback_function: (piece: string) => {
      if (complete) return;
      text += piece;
      // A chat model ends by itself. Another would go on with a text of its own.
      const sentence = chat ? { text: text.trim(), complete: false } : firstSentence(text);
      complete = sentence.complete;
      if (complete) stopper.interrupt();
      const steps = times.slice(1).map((time, i) => time - times[i]!);
      change(ask.id, {
        status: 'answering',
        answer: sentence.text,
        tokens: times.length,
        firstToken: times[0]! - start,
        perToken: median(steps),
      });
    },
  });
  stopper.reset();
  await generator(chat ? [{ role: 'user', content: whole }] : whole, {
    max_new_tokens: ask.settings.answerLimit,
    do_sample: false,
    return_full_text: false,
    streamer,
    stopping_criteria: stopper,
    // Models that can think aloud are asked not to: the answer is wanted.
    tokenizer_encode_kwargs: { enable_thinking: false },
  } as object);
  const report = await sift?.report();
  change(ask.id, {
    status: stopped ? 'stopped' : 'done',
    read: report?.keptGroup ?? null,
    steps: report?.steps ?? null,
  });
}

/** What a person can do about an error. */
function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (/fetch|network/i.test(message))
    return `A file of the model did not arrive. Models of the hub need a network. The embedded model does not. (${message})`;
  if (/not locate|404|401|unauthorized/i.test(message))
    return `The hub has no such model, or not with these weights. (${message})`;
  if (/out of memory|OUT_OF_MEMORY|allocat/i.test(message))
    return `The GPU has no room for this. Let fewer tokens of a page be read, or choose a smaller model. (${message})`;
  return message;
}

async function work(): Promise<void> {
  if (current) return;
  for (current = waiting.shift(); current; current = waiting.shift()) {
    stopped = false;
    const { id } = current;
    try {
      await answer(current);
    } catch (error) {
      change(id, { status: 'failed', error: explain(error) });
      // After an error the state of the GPU is not known. The next question loads the model again.
      await unload();
      tell({ type: 'model', model: { phase: 'none' } });
    }
  }
}

addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === 'ask') {
    waiting.push(data.ask);
    void work();
  } else if (current?.id === data.id) {
    stopped = true;
    stopper.interrupt();
  } else {
    const at = waiting.findIndex(({ id }) => id === data.id);
    if (at >= 0) waiting.splice(at, 1);
    change(data.id, { status: 'stopped' });
  }
});
