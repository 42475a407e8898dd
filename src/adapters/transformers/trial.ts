import { SiftError } from '../../errors.ts';
import type { TensorClass } from './kv/views.ts';
import { type HubModel, type OrtTensor, pastName, tensorClassOf } from './runtime.ts';
import type { SessionHook, Tensors } from './session-hook.ts';

/** Decode steps that there is room for in a trial. */
export const TRIAL_STEPS = 3;
/**
 * Tokens of the prompt before them: more than the runtime's prompt attention takes at a time (32), and more than a tile of its decode
 * attention has (64), so that tiles are merged. The last tile is not full. All tokens together are a prime, which no other dimension of
 * an input is likely to be.
 */
const PROMPT = 73 - TRIAL_STEPS;
/** Keys in the first decode step of a trial, the one in which ours is held against the runtime's attention. */
export const TRIAL_LENGTH = PROMPT + 1;
/** With fewer tokens nothing can be told. */
const SHORTEST = TRIAL_STEPS + 1;

/** Names that configurations give to the number of positions. */
const POSITIONS = ['max_position_embeddings', 'n_positions', 'max_seq_len', 'seq_length', 'n_ctx'] as const;

type Config = Record<string, unknown> & { text_config?: Record<string, unknown> };

function numberOf(config: Config, names: readonly string[]): number | undefined {
  for (const source of [config, config.text_config ?? {}]) {
    for (const name of names) {
      const value = source[name];
      if (typeof value === 'number' && value > 0) return value;
    }
  }
  return undefined;
}

/** Some tokens of the vocabulary, the same for every call. */
function trialTokens(config: Config): bigint[] {
  const positions = numberOf(config, POSITIONS) ?? Number.POSITIVE_INFINITY;
  const vocabulary = numberOf(config, ['vocab_size']) ?? 256;
  const count = Math.min(PROMPT + TRIAL_STEPS, positions);
  if (count < SHORTEST) {
    throw new SiftError(
      'UNSUPPORTED_MODEL',
      `The model has ${positions} positions: too few for sifting to be tried or to gain anything.`,
    );
  }
  // Low numbers are bytes and common tokens, special ones (an image's place) come last or first.
  const span = Math.max(1, Math.min(vocabulary - 8, 1000));
  return Array.from({ length: count }, (_, i) => BigInt(Math.min(vocabulary - 1, 8) + ((i * 37) % span)));
}

/** The tensors of one axis that is as long as the whole text, cut to some of its places. */
function cut(tensor: OrtTensor, whole: number, from: number, to: number, Tensor: TensorClass): OrtTensor {
  const axis = tensor.dims.indexOf(whole);
  if (axis < 0) return tensor;
  const { dims, type, data } = tensor;
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = dims.slice(0, axis).reduce((a, b) => a * b, 1);
  const length = to - from;
  const part = new (data.constructor as new (length: number) => typeof data)(outer * length * inner);
  for (let i = 0; i < outer; i++) {
    part.set(
      data.subarray((i * whole + from) * inner, (i * whole + to) * inner) as never,
      i * length * inner,
    );
  }
  return new Tensor(
    type,
    part,
    dims.map((dim, i) => (i === axis ? length : dim)),
  );
}

/** Inputs of a decoder that say how long the past is, besides the tokens. */
const WHOLE_TEXT = 'attention_mask';

/** Runs the session on inputs, and gives its outputs. */
type RunSession = (feeds: Tensors) => Promise<Tensors>;

/** A short text on the user's model: its prompt and a few decode steps, with exactly the inputs that the library would feed. */
export class Trial {
  private constructor(
    private readonly hook: SessionHook,
    private readonly feeds: Tensors,
    private readonly length: number,
  ) {}

  /**
   * Waits for the page's runs to let the plugin in and holds them up while `work` runs the trial.
   * @throws {SiftError} `UNSUPPORTED_MODEL` if the model cannot run a text, with the library's or the runtime's error as the cause
   */
  static async hold<T>(model: HubModel, hook: SessionHook, work: (trial: Trial) => Promise<T>): Promise<T> {
    try {
      const tokens = trialTokens(model.config as Config);
      const length = tokens.length;
      const Tensor = tensorClassOf(model);
      const ids = new Tensor('int64', BigInt64Array.from(tokens), [1, length]);
      const mask = new Tensor('int64', new BigInt64Array(length).fill(1n), [1, length]);
      const marks = [ids.ort_tensor, mask.ort_tensor];
      return await hook.turn(
        () => model.forward({ input_ids: ids, attention_mask: mask }),
        marks,
        async (feeds) => work(new Trial(hook, await onCpu(feeds), length)),
      );
    } catch (error) {
      if (error instanceof SiftError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw new SiftError('UNSUPPORTED_MODEL', `The model could not be tried on a short text: ${message}`, {
        cause: error,
      });
    }
  }

  /**
   * The class of the tensors that the runtime puts out, once it has: the only one that it takes as fetches. The library may bring
   * another for its inputs.
   */
  outputClass: TensorClass | undefined;

  private readonly stock: RunSession = (feeds) => this.hook.trial(feeds);

  private get InputTensor(): TensorClass {
    return Object.values(this.feeds)[0]!.constructor as unknown as TensorClass;
  }

  /**
   * Runs the prompt.
   *
   * @param run how the session is run; default: as it is
   * @param seen sees all that the prompt puts out
   * @param tokens of the text that make the prompt; default: all but those of the steps, as {@link decode} needs it
   * @returns what decode steps go on from, in this trial or in a later one on the same session; the caller disposes of it by
   * {@link disposeAll}
   */
  async prompt(
    run: RunSession = this.stock,
    seen?: (outputs: Tensors) => Promise<void>,
    tokens = this.length - TRIAL_STEPS,
  ): Promise<Tensors> {
    const outputs = await run(this.stepFeeds(0, tokens));
    try {
      await seen?.(outputs);
    } catch (error) {
      disposeAll(outputs);
      throw error;
    }
    this.outputClass = outputs.logits?.constructor as unknown as TensorClass;
    // The logits of a whole prompt can be large, and are not needed.
    const states = Object.entries(outputs).filter(([name]) => name.startsWith('present'));
    disposeAll(Object.fromEntries(Object.entries(outputs).filter(([name]) => !name.startsWith('present'))));
    return Object.fromEntries(states);
  }

  /**
   * Runs decode steps, each inside its function.
   *
   * @param prompt as {@link prompt} gave it; it stays as it is
   * @param around for each step: gets the inputs of the session and what runs it
   * @param run how the session is run; default: as it is
   * @returns the logits of the steps, [steps][vocabulary]
   */
  async decode(
    prompt: Tensors,
    around: readonly ((run: () => Promise<void>, feeds: Tensors) => Promise<void>)[],
    run: RunSession = this.stock,
  ): Promise<Float32Array[]> {
    const first = this.length - TRIAL_STEPS;
    const logits: Float32Array[] = [];
    let outputs = prompt;
    try {
      for (const [i, step] of around.entries()) {
        const feeds = this.stepFeeds(first + i, first + i + 1, outputs);
        await step(async () => {
          const before = outputs;
          outputs = await run(feeds);
          if (before !== prompt) disposeAll(before);
        }, feeds);
        logits.push(logitsOf(outputs));
      }
      this.outputClass = outputs.logits?.constructor as unknown as TensorClass;
      return logits;
    } finally {
      if (outputs !== prompt) disposeAll(outputs);
    }
  }

  /** The inputs of the tokens from `from` to `to`, after a run that put out `before`. */
  private stepFeeds(from: number, to: number, before?: Tensors): Tensors {
    const feeds: Tensors = {};
    const states = before && statesOf(before);
    for (const [name, tensor] of Object.entries(this.feeds)) {
      const state = states?.[name];
      if (state) feeds[name] = state;
      else if (name.startsWith('past')) feeds[name] = tensor;
      else if (name === 'use_cache_branch')
        feeds[name] = new this.InputTensor('bool', Uint8Array.of(Number(before !== undefined)), [1]);
      else feeds[name] = cut(tensor, this.length, name === WHOLE_TEXT ? 0 : from, to, this.InputTensor);
    }
    return feeds;
  }
}

/** Outputs of a run by the names of the inputs that they continue: KV caches and other states. */
function statesOf(outputs: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(outputs)
      .filter(([name]) => name.startsWith('present'))
      .map(([name, tensor]) => [pastName(name), tensor]),
  );
}

/** Embeddings may lie on the GPU. */
async function onCpu(feeds: Tensors): Promise<Tensors> {
  const entries = Object.entries(feeds).map(async ([name, tensor]) => {
    if (tensor.location !== 'cpu' && !name.startsWith('past')) await tensor.getData();
    return [name, tensor] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** Disposes of the tensors that lie on the GPU. It may be called again. */
export function disposeAll(outputs: Tensors): void {
  for (const tensor of Object.values(outputs)) if (tensor.location === 'gpu-buffer') tensor.dispose();
}

/** The logits of the last token, whatever their type; f16 bits where the platform has no Float16Array. */
function logitsOf(outputs: Tensors): Float32Array {
  const { logits } = outputs;
  if (!logits) throw new SiftError('UNSUPPORTED_MODEL', 'The decoder puts out no logits.');
  return Float32Array.from(logits.data as ArrayLike<number>, Number);
}
