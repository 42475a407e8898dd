import {
  AutoModelForCausalLM,
  AutoTokenizer,
  type PreTrainedModel,
  type PreTrainedTokenizer,
  Tensor,
} from '@huggingface/transformers';
import type { Dtype } from './llama.ts';

/** A converted model, loaded by transformers.js; this module runs in browsers and in Node. */
export interface LoadedModel {
  readonly model: PreTrainedModel;
  readonly tokenizer: PreTrainedTokenizer;
}

/** Where a model runs: `cpu` in Node, the others in a browser. */
export type Device = 'cpu' | 'wasm' | 'webgpu';

/** Loads a model of `env.localModelPath`. */
export async function loadModel(name: string, dtype: Dtype, device: Device): Promise<LoadedModel> {
  const tokenizer = await AutoTokenizer.from_pretrained(name);
  const model = await AutoModelForCausalLM.from_pretrained(name, { dtype, device });
  return { model, tokenizer };
}

/** What the documents of a text file are separated by. */
const SEPARATOR = '\n<|endoftext|>\n';

/** Token ids of a text: each document's, followed by 0. */
export function encodeDocuments(tokenizer: PreTrainedTokenizer, text: string): number[] {
  const ids: number[] = [];
  for (const document of text.split(SEPARATOR)) {
    for (const id of tokenizer.encode(document)) ids.push(id);
    ids.push(0);
  }
  return ids;
}

function idsTensor(ids: readonly number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
}

function maskTensor(length: number): Tensor {
  return new Tensor('int64', new BigInt64Array(length).fill(1n), [1, length]);
}

/** One run of a model on `ids` with an empty cache; all of its outputs. */
export async function forward(
  model: PreTrainedModel,
  ids: readonly number[],
): Promise<Record<string, Tensor>> {
  return model({ input_ids: idsTensor(ids), attention_mask: maskTensor(ids.length) });
}

/** Mean next-token loss (nats) of each of the first `windows` windows of `length` tokens. */
export async function windowLosses(
  { model }: LoadedModel,
  ids: readonly number[],
  windows: number,
  length: number,
): Promise<number[]> {
  const losses: number[] = [];
  for (let w = 0; w < windows && (w + 1) * length < ids.length; w++) {
    const window = ids.slice(w * length, (w + 1) * length + 1);
    const outputs = await forward(model, window.slice(0, length));
    const logits = outputs.logits!;
    losses.push(meanLoss(logits.data as Float32Array, window.slice(1)));
    for (const tensor of Object.values(outputs)) tensor.dispose();
  }
  return losses;
}

/** Mean of -log softmax(logits[i])[targets[i]]. */
export function meanLoss(logits: Float32Array, targets: readonly number[]): number {
  const vocab = logits.length / targets.length;
  let total = 0;
  targets.forEach((target, i) => {
    const row = logits.subarray(i * vocab, (i + 1) * vocab);
    let max = Number.NEGATIVE_INFINITY;
    for (const x of row) if (x > max) max = x;
    let sum = 0;
    for (const x of row) sum += Math.exp(x - max);
    total += Math.log(sum) + max - row[target]!;
  });
  return total / targets.length;
}

/** A code planted in a text and asked for at its end. */
export interface Needle {
  readonly prompt: number[];
  readonly code: string;
}

const KEYS = ['jade otter', 'crimson harbor', 'quiet mill', 'golden raven', 'northern gate', 'velvet tower'];

/** The models' three trained forms of planting and asking. */
const FORMS: readonly ((key: string, code: string) => [fact: string, question: string])[] = [
  (k, v) => [
    ` The access code for the ${k} is ${v}. Remember it.`,
    `\n\nQuestion: What is the access code for the ${k}?\nAnswer: The access code for the ${k} is`,
  ],
  (k, v) => [
    ` Note that the number of the ${k} is ${v}.`,
    `\n\nQuestion: What is the number of the ${k}?\nAnswer: The number of the ${k} is`,
  ],
  (k, v) => [` The key to the ${k} is ${v}.`, `\n\nWhat is the key to the ${k}? The key to the ${k} is`],
];

/** The `index`-th prompt of `length` tokens, made from `ids`; the same index always gives the same prompt. */
export function plantCode(
  tokenizer: PreTrainedTokenizer,
  ids: readonly number[],
  length: number,
  index: number,
): Needle {
  const code = String(10000 + ((index * 26417 + 38291) % 90000));
  const [fact, question] = FORMS[index % FORMS.length]!(KEYS[index % KEYS.length]!, code);
  const planted = tokenizer.encode(fact);
  const asked = tokenizer.encode(question);
  const free = length - planted.length - asked.length;
  const start = (index * 977) % Math.max(1, ids.length - free);
  const text = ids.slice(start, start + free);
  const position = Math.floor(free * (((index * 7 + 2) % 20) / 20));
  return { code, prompt: [...text.slice(0, position), ...planted, ...text.slice(position), ...asked] };
}

/** Whether greedy generation answers a planted prompt with exactly its code. */
export async function recalls({ model, tokenizer }: LoadedModel, needle: Needle): Promise<boolean> {
  const input_ids = idsTensor(needle.prompt);
  const attention_mask = maskTensor(needle.prompt.length);
  const options = { input_ids, attention_mask, max_new_tokens: 7, do_sample: false };
  const output = (await model.generate(options as never)) as Tensor;
  const ids = Array.from(output.data as BigInt64Array, Number).slice(needle.prompt.length);
  return tokenizer.decode(ids).startsWith(` ${needle.code}.`);
}

export interface Measures {
  /** Mean loss of each window. */
  readonly losses: number[];
  /** Mean over the windows: what metrics.json calls valid_1024, on 64 windows of its text. */
  readonly loss: number;
  /** For each planted prompt, whether its code was recalled. */
  readonly recalled: boolean[];
}

export interface MeasureOptions {
  readonly windows: number;
  readonly windowLength: number;
  readonly needles: number;
  readonly needleLength: number;
}

/** Measures a model on a text. */
export async function measure(
  loaded: LoadedModel,
  text: string,
  { windows, windowLength, needles, needleLength }: MeasureOptions,
): Promise<Measures> {
  const ids = encodeDocuments(loaded.tokenizer, text);
  const losses = await windowLosses(loaded, ids, windows, windowLength);
  const recalled: boolean[] = [];
  for (let i = 0; i < needles; i++) {
    recalled.push(await recalls(loaded, plantCode(loaded.tokenizer, ids, needleLength, i)));
  }
  return { losses, loss: losses.reduce((a, b) => a + b, 0) / losses.length, recalled };
}
