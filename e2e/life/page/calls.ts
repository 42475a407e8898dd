// Calls of `generate` as apps make them, with the logits of every step noted.
import {
  DynamicCache,
  InterruptableStoppingCriteria,
  LogitsProcessor,
  LogitsProcessorList,
  random,
  Tensor,
  type TextGenerationPipeline,
  TextStreamer,
} from '@huggingface/transformers';
import { type Call, type Outcome, type Text, tokensOf, VOCABULARY } from '../action.ts';

/** Notes the logits that tokens are chosen by; a step's number is told as its logits come. */
class Recorder extends LogitsProcessor {
  readonly steps: number[][][] = [];

  constructor(private readonly onStep: (step: number) => void) {
    super();
  }

  override _call(_: bigint[][], logits: Tensor): Tensor {
    const data = logits.data as Float32Array;
    const rows = data.length / VOCABULARY;
    this.steps.push(
      Array.from({ length: rows }, (_, i) => Array.from(data.slice(i * VOCABULARY, (i + 1) * VOCABULARY))),
    );
    this.onStep(this.steps.length);
    return logits;
  }
}

const int64 = (rows: readonly (readonly number[])[]): Tensor =>
  new Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length]);

/** Rows of several lengths, padded on the left, and their mask. */
function padded(rows: readonly (readonly number[])[]): { inputs: Tensor; attention_mask: Tensor } {
  const length = Math.max(...rows.map((row) => row.length));
  const pad = (row: readonly number[], value: number) => new Array<number>(length - row.length).fill(value);
  return {
    inputs: int64(rows.map((row) => [...pad(row, 0), ...row])),
    attention_mask: int64(rows.map((row) => [...pad(row, 0), ...row.map(() => 1)])),
  };
}

/** A cache that the app keeps, and the tokens of the conversation. */
export interface Chat {
  cache: DynamicCache;
  tokens: number[];
}

/**
 * Generates.
 * @param chat what the call goes on from, and what keeps its cache
 * @param interject does what the call's interjection says
 */
export async function generate(
  generator: TextGenerationPipeline,
  call: Call,
  interject: () => Promise<void> | void,
  chat?: Chat,
): Promise<Outcome> {
  const { kind, count, stopAt, throwAt, interjection } = call;
  const stop = new InterruptableStoppingCriteria();
  let interjected: string | null = null;
  const recorder = new Recorder((step) => {
    if (step === interjection?.at) {
      const failed = (error: unknown) => {
        interjected = String(error);
      };
      try {
        void Promise.resolve(interject()).catch(failed);
      } catch (error) {
        failed(error);
      }
    }
    if (step === stopAt) stop.interrupt();
    if (step === throwAt) throw new Error('thrown by the app');
  });
  const processors = new LogitsProcessorList();
  processors.push(recorder);
  const rows = chat ? [[...chat.tokens, ...tokensOf(call.prompts[0]!)]] : call.prompts.map(tokensOf);
  if (kind === 'sample') random.seed(call.seed);
  try {
    const output = (await generator.model.generate({
      ...(rows.length > 1 ? padded(rows) : { inputs: int64(rows) }),
      max_new_tokens: count,
      do_sample: kind === 'sample',
      ...(kind === 'sample' && { top_k: 6, temperature: 1.5 }),
      ...(kind === 'beams' && { num_beams: 2 }),
      ...(kind === 'several' && { num_return_sequences: 2, num_beams: 2 }),
      ...(kind === 'stream' && {
        streamer: new TextStreamer(generator.tokenizer, { callback_function: () => {} }),
      }),
      ...(chat && { past_key_values: chat.cache }),
      logits_processor: processors,
      stopping_criteria: stop,
      // A given number of tokens is compared, also past the end of a text.
      eos_token_id: -1,
    } as never)) as Tensor;
    const all = Array.from(output.data as BigInt64Array, Number);
    const length = output.dims[1]!;
    const tokens = Array.from({ length: output.dims[0]! }, (_, i) => all.slice(i * length, (i + 1) * length));
    if (chat) chat.tokens = tokens[0]!;
    return { tokens, logits: recorder.steps, error: null, interjected };
  } catch (error) {
    return { tokens: [], logits: recorder.steps, error: String(error), interjected };
  }
}

/**
 * Cuts a conversation, as an app does that edits its history: the rows go through the CPU. Reading them gives the GPU's memory back: of a
 * tensor that was read without that, `DynamicCache.dispose` of transformers.js takes no notice any more, with sift and without.
 */
export async function crop(chat: Chat, length: number): Promise<void> {
  const parts: Record<string, Tensor> = {};
  const { cache } = chat;
  for (const [name, tensor] of Object.entries(cache) as [string, Tensor][]) {
    const [batch, heads, rows, size] = tensor.dims as [number, number, number, number];
    const kept = Math.min(length, rows);
    const data = (await tensor.ort_tensor.getData(true)) as Float32Array;
    const cut = new Float32Array(batch * heads * kept * size);
    for (let head = 0; head < batch * heads; head++)
      cut.set(data.subarray(head * rows * size, (head * rows + kept) * size), head * kept * size);
    parts[name] = new Tensor('float32', cut, [batch, heads, kept, size]);
  }
  await cache.dispose();
  chat.cache = new DynamicCache(parts);
  chat.tokens = chat.tokens.slice(0, length);
}

/** Two continuations of one past, decoded in turns, which leave it as it is: the logits of each step. */
export async function continueTwice(
  generator: TextGenerationPipeline,
  { cache }: Chat,
  texts: readonly [Text, Text],
): Promise<Outcome> {
  type Outputs = Record<string, Tensor>;
  const model = generator.model as unknown as { forward(inputs: object): Promise<Outputs> };
  const pasts = [cache, cache];
  const branches = texts.map(tokensOf);
  const length = cache.get_seq_length();
  const logits: number[][][] = [];
  const made: Outputs[] = [];
  try {
    for (let i = 0; i < Math.max(...branches.map((tokens) => tokens.length)); i++) {
      for (const [branch, tokens] of branches.entries()) {
        if (i >= tokens.length) continue;
        const outputs = await model.forward({
          input_ids: int64([[tokens[i]!]]),
          attention_mask: int64([new Array<number>(length + i + 1).fill(1)]),
          past_key_values: pasts[branch],
        });
        made.push(outputs);
        logits.push([Array.from((outputs.logits!.data as Float32Array).slice(-VOCABULARY))]);
        pasts[branch] = new DynamicCache(
          Object.fromEntries(
            Object.entries(outputs)
              .filter(([name]) => name.startsWith('present'))
              .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
          ),
        );
      }
    }
    return { tokens: [], logits, error: null, interjected: null };
  } catch (error) {
    return { tokens: [], logits, error: String(error), interjected: null };
  } finally {
    for (const outputs of made)
      for (const tensor of Object.values(outputs)) if (tensor.location === 'gpu-buffer') tensor.dispose();
  }
}
