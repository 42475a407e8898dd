// Measures what policies do to a model's text. The same code runs in a page, over transformers.js, and in Node, over onnxruntime-web and
// Dawn. Arguments and results are plain data, so that a page's evaluator can be called from Node.
import { type Decoder, free, type Outputs } from '../../lab/decoding/decoder.ts';
import { lastLogits, mostLikely } from '../../lab/decoding/logits.ts';
import { prefill, Sequence } from '../../lab/decoding/sequence.ts';
import { enableSift } from '../../src/index.ts';
import { parsePolicy } from '../plan/policy-syntax.ts';
import { compareRows, type RowAgreement } from '../rows/compare-rows.ts';
import { type Hits, type Item, makeTask, type Task, type TaskSource } from '../tasks/index.ts';
import type { SequenceFigures } from './figures.ts';
import {
  converse,
  exactFigures,
  exactRows,
  type ForcedOptions,
  policyFigures,
  reporter,
} from './policy-figures.ts';

/** Tokens and steps of a sequence, and how often the report is looked at; see ForcedOptions. */
export type SequenceOptions = Pick<ForcedOptions, 'prompt' | 'steps' | 'warmup' | 'parts'>;

export interface EvaluatorFacts {
  gpu: string;
  /** Longest context of the model in tokens. */
  context: number;
  /** Tokens that the model knows. */
  vocabulary: number;
  /** Token that ends a document. */
  endToken: number;
}

/** What a model's config.json says of it, as far as it is used. */
export interface ModelFacts {
  max_position_embeddings?: number;
  vocab_size?: number;
  eos_token_id?: number | number[];
}

/** Measures one model. Policies are named by their text. */
export interface Evaluator {
  facts(): Promise<EvaluatorFacts>;
  encode(texts: readonly string[]): Promise<number[][]>;
  /** The tokens of a prompt, and those that the stock runtime finds the most likely ones after it. */
  generate(prompt: readonly number[], count: number): Promise<number[]>;
  /** Runs the stock runtime on a sequence, and keeps its distributions. {@link policy} holds the same sequence against them. */
  exact(tokens: readonly number[], options: SequenceOptions): Promise<SequenceFigures>;
  policy(tokens: readonly number[], policy: string, options: SequenceOptions): Promise<SequenceFigures>;
  /** The tasks of some names, made of a text's tokens. */
  tasks(names: readonly string[], source: Pick<TaskSource, 'filler' | 'learning'>): Promise<Task[]>;
  /** Runs a task's conversations. @param policy null for the stock runtime. */
  task(items: readonly Item[], policy: string | null): Promise<Hits[]>;
  /** Kept rows and outputs against the f64 reference; the model's K and q must be f32. */
  reference(
    tokens: readonly number[],
    policy: string,
    options: SequenceOptions & { samples: number },
  ): Promise<RowAgreement>;
}

/** Measures over a decoder. */
export class DecoderEvaluator implements Evaluator {
  private exactOf: { key: string; rows: Float32Array[] } | undefined;
  /** What a prompt put out that ran in parts. That takes long, so that it runs once and the policies go on from it. */
  private past: Outputs | undefined;
  /** The same for the first prompts of a task's items. */
  private begun: { key: string; pasts: (Outputs | undefined)[] } = { key: '', pasts: [] };

  private constructor(
    private readonly decoder: Decoder,
    private readonly device: GPUDevice,
    private readonly tokenizer: (text: string) => readonly number[],
    private readonly config: ModelFacts,
    private readonly progress: (message: string) => void,
  ) {}

  /** Lets the plugin see the runtime compile its attention, so that the stock runtime may run first. */
  static async create(
    decoder: Decoder,
    device: GPUDevice,
    tokenizer: (text: string) => readonly number[],
    config: ModelFacts,
    progress: (message: string) => void,
  ): Promise<DecoderEvaluator> {
    (await enableSift(decoder.model, { device, siftFrom: 0 })).dispose();
    return new DecoderEvaluator(decoder, device, tokenizer, config, progress);
  }

  async facts(): Promise<EvaluatorFacts> {
    const { vendor = '', architecture = '', description = '' } = this.device.adapterInfo ?? {};
    return {
      gpu: [vendor, architecture, description].filter(Boolean).join(' ') || 'unknown',
      context: this.config.max_position_embeddings ?? 4096,
      vocabulary: this.config.vocab_size ?? 1000,
      endToken: [this.config.eos_token_id ?? 0].flat()[0]!,
    };
  }

  async encode(texts: readonly string[]): Promise<number[][]> {
    return texts.map((text) => [...this.tokenizer(text)]);
  }

  async generate(prompt: readonly number[], count: number): Promise<number[]> {
    const tokens = [...prompt];
    const sequence = new Sequence(this.decoder);
    await sequence.feed(prompt);
    const report = reporter(count, this.progress);
    while (tokens.length < prompt.length + count) {
      tokens.push(mostLikely(lastLogits(sequence.outputs)));
      await sequence.feed([tokens.at(-1)!]);
      report(tokens.length - prompt.length);
    }
    sequence.dispose();
    return tokens;
  }

  async exact(tokens: readonly number[], options: SequenceOptions): Promise<SequenceFigures> {
    if (this.past) free(this.past);
    this.past = await this.inParts(tokens.slice(0, options.prompt));
    const { past, progress } = this;
    const rows = await exactRows(this.decoder, tokens, { ...options, progress, ...(past ? { past } : {}) });
    this.exactOf = { key: keyOf(tokens, options), rows };
    return exactFigures(rows, tokens, options);
  }

  async policy(
    tokens: readonly number[],
    policy: string,
    options: SequenceOptions,
  ): Promise<SequenceFigures> {
    if (this.exactOf?.key !== keyOf(tokens, options)) await this.exact(tokens, options);
    return policyFigures(this.decoder, tokens, this.exactOf!.rows, parsePolicy(policy), {
      ...options,
      device: this.device,
      progress: this.progress,
      ...(this.past ? { past: this.past } : {}),
    });
  }

  async tasks(names: readonly string[], source: Pick<TaskSource, 'filler' | 'learning'>): Promise<Task[]> {
    const { context } = await this.facts();
    const encode = (text: string) => [...this.tokenizer(text)];
    return names.map((name) => makeTask(name, { ...source, encode, context }));
  }

  /** What a prompt puts out on the stock runtime, if it must run in parts. */
  private async inParts(prompt: readonly number[]): Promise<Outputs | undefined> {
    return prompt.length > (this.decoder.chunk ?? prompt.length) ? prefill(this.decoder, prompt) : undefined;
  }

  /** Runs the first prompts of a task's items, if they must run in parts. */
  private async begin(items: readonly Item[]): Promise<void> {
    const key = JSON.stringify(items);
    if (key === this.begun.key) return;
    for (const past of this.begun.pasts) if (past) free(past);
    this.begun = { key, pasts: [] };
    for (const { turns } of items) this.begun.pasts.push(await this.inParts(turns[0]!.prompt));
  }

  async task(items: readonly Item[], policy: string | null): Promise<Hits[]> {
    await this.begin(items);
    const sift =
      policy === null
        ? undefined
        : await enableSift(this.decoder.model, {
            policy: parsePolicy(policy).policy,
            device: this.device,
            siftFrom: 0,
          });
    const hits: Hits[] = [];
    try {
      for (const [i, item] of items.entries()) {
        hits.push(
          await converse(
            this.decoder,
            item,
            (message) => this.progress(`item ${i + 1} of ${items.length}, ${message}`),
            this.begun.pasts[i],
          ),
        );
      }
    } finally {
      sift?.dispose();
    }
    return hits;
  }

  reference(
    tokens: readonly number[],
    policy: string,
    { prompt, steps, samples }: SequenceOptions & { samples: number },
  ): Promise<RowAgreement> {
    return compareRows(this.decoder, tokens, parsePolicy(policy), {
      prompt,
      steps,
      samples,
      device: this.device,
    });
  }
}

const keyOf = (tokens: readonly number[], { prompt, steps, warmup }: SequenceOptions): string =>
  JSON.stringify([tokens, prompt, steps, warmup]);
