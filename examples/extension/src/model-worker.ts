// Runs the model on the GPU, one question at a time.
import 'sift-attention/register'; // so that sift can be enabled again after a generation, when the preset changes
import { InterruptableStoppingCriteria, TextStreamer } from '@huggingface/transformers';
import { type Code, codeAskedFor, looksLikeCode } from './codes.ts';
import { explain, PlainError } from './explain.ts';
import { type Loaded, modelFor, unload } from './model.ts';
import { chatFrame, type Frame, firstSentence, textFrame } from './prompt.ts';
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
function promptOf({ generator, chat, positions }: Loaded, frame: Frame, { page, settings }: Ask) {
  const { tokenizer } = generator;
  const count = (text: string) => tokenizer.encode(text).length;
  // A chat template adds some tokens of its own.
  const around = count(frame.before) + count(frame.after) + (chat ? 64 : 4);
  const room = Math.min(settings.contextLimit, positions - settings.answerLimit) - around;
  if (room < 16)
    throw new PlainError(
      'There is no room for the page. Ask a shorter question, or allow fewer tokens of an answer, or more of a page.',
    );
  const tokens = tokenizer.encode(page.text, { add_special_tokens: false });
  const cut = tokens.length > room;
  const text = cut ? tokenizer.decode(tokens.slice(0, room), { skip_special_tokens: true }) : page.text;
  const whole = `${frame.before}${text}${frame.after}`;
  return { whole, cut, read: text.length, promptTokens: count(whole) };
}

/** What the embedded model is asked for. It is not asked what it cannot answer. */
function codeFor({ question, page, settings }: Ask): Code | undefined {
  if (settings.model !== 'embedded') return undefined;
  const code = codeAskedFor(question, page.text);
  if (!code)
    throw new PlainError('The embedded model finds codes that a page states. It cannot answer this.');
  return code;
}

/** The answer so far as it may be shown. */
function shown(text: string, chat: boolean, { begins }: Frame, code: Code | undefined) {
  // A chat model ends by itself. Another would go on with a text of its own.
  if (chat) return { text: text.trim(), complete: false };
  const sentence = firstSentence(text);
  if (!code) return sentence;
  if (!looksLikeCode(sentence.text)) return { text: '', complete: true };
  return { text: `${begins} ${sentence.text}`, complete: sentence.complete || sentence.text.endsWith('.') };
}

async function answer(ask: Ask): Promise<void> {
  const code = codeFor(ask);
  const loaded = await modelFor(ask.settings, (model) => tell({ type: 'model', model }));
  if (stopped) return;
  const { generator, chat, sift } = loaded;
  const frame = code?.frame ?? (chat ? chatFrame(ask.page, ask.question) : textFrame(ask.question));
  const { whole, cut, read, promptTokens } = promptOf(loaded, frame, ask);
  if (code && cut && code.end > read)
    throw new PlainError(
      `The code stands further down than the ${ask.settings.contextLimit.toLocaleString()} tokens of a page that are read at most. Allow more in the settings.`,
    );
  change(ask.id, { status: 'reading', cut, promptTokens });

  const times: number[] = [];
  const ids: bigint[] = [];
  let text = '';
  let complete = false;
  const start = performance.now();
  const streamer = new TextStreamer(generator.tokenizer, {
    skip_prompt: true,
    skip_special_tokens: true,
    // The library would hold text back until the next space. Here each token is shown when it comes.
    callback_function: () => {},
    token_callback_function: (tokens: bigint[]) => {
      times.push(performance.now());
      ids.push(...tokens);
      if (complete || stopped) return;
      // A character may be made of several tokens, of which not all are here.
      text = generator.tokenizer.decode(ids, { skip_special_tokens: true }).replace(/\uFFFD+$/, '');
      const part = shown(text, chat, frame, code);
      complete = part.complete;
      if (complete) stopper.interrupt();
      const steps = times.slice(1).map((time, i) => time - times[i]!);
      change(ask.id, {
        status: 'answering',
        answer: part.text,
        tokens: times.length,
        firstToken: times[0]! - start,
        perToken: median(steps),
      });
    },
  });
  stopper.reset();
  await generator(chat ? [{ role: 'user', content: whole }] : whole, {
    max_new_tokens: code ? Math.min(16, ask.settings.answerLimit) : ask.settings.answerLimit,
    do_sample: false,
    return_full_text: false,
    streamer,
    stopping_criteria: stopper,
    // Models that can think aloud are asked not to: the answer is wanted.
    tokenizer_encode_kwargs: { enable_thinking: false },
  } as object);
  const report = await sift?.report();
  if (stopped) return;
  const figures = { read: report?.keptGroup ?? null, steps: report?.steps ?? null };
  // The page states the code, so that a wrong one can be told.
  if (code && firstSentence(text).text.replace(/\.$/, '') !== code.value)
    return change(ask.id, {
      ...figures,
      status: 'failed',
      answer: '',
      error: 'The embedded model did not find this code. It is small, and misses one at times.',
    });
  change(ask.id, { ...figures, status: 'done' });
}

async function work(): Promise<void> {
  if (current) return;
  for (current = waiting.shift(); current; current = waiting.shift()) {
    stopped = false;
    const { id } = current;
    change(id, { status: 'waiting' });
    try {
      await answer(current);
    } catch (error) {
      if (!stopped) change(id, { status: 'failed', error: explain(error) });
      if (error instanceof PlainError) continue;
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
    return;
  }
  if (current?.id === data.id) {
    stopped = true;
    stopper.interrupt();
  } else {
    const at = waiting.findIndex(({ id }) => id === data.id);
    if (at >= 0) waiting.splice(at, 1);
  }
  // What the GPU is doing ends a little later, and is not shown any more.
  change(data.id, { status: 'stopped' });
});
