// Many conversations in one page, on the real transformers.js, plugin and model. Node asks after each round what has been left behind.
import '../../../src/register.ts';
import {
  DynamicCache,
  env,
  InterruptableStoppingCriteria,
  LogitsProcessor,
  LogitsProcessorList,
  pipeline,
  Tensor,
  type TextGenerationPipeline,
} from '@huggingface/transformers';
import { runtimeDevice } from '../../../lab/decoding/decoder.ts';
import { useServedModels } from '../../../lab/decoding/hub-decoder.ts';
import { hideNarrowSubgroups } from '../../../lab/narrow-subgroups.ts';
import { enableSift, type Quality, type Sift } from '../../../src/index.ts';
import * as witness from '../../life/page/witness.ts';
import type { Talk } from '../talks.ts';

// Prompts are wrong in this runtime on subgroups of 4 lanes, the software adapter's.
hideNarrowSubgroups();
useServedModels('/');
witness.beginWitness();

/** What the plugin holds and says between two conversations. */
export interface Look {
  /** Buffers of the plugin's, and their bytes. */
  buffers: { count: number; bytes: number };
  /** Methods that are not as they were right after sift was enabled. */
  replaced: string[];
  /** Characters of the report, and numbers of it. */
  report: { size: number; conversations: number; steps: number; stockSteps: number };
  errors: string[];
}

interface Loaded {
  generator: TextGenerationPipeline;
  sift: Sift;
  /** Objects whose methods the plugin stands in front of, with their methods before and after it was enabled. */
  watched: { name: string; object: object; before: Methods; after: Methods }[];
}
type Methods = ReturnType<typeof witness.remember>;

let loaded: Loaded | undefined;

/** Loads the model that is served, and enables sift on it. @returns the GPU and the tokens of a text */
async function open(
  dtype: string,
  quality: Quality,
  text: string,
): Promise<{ gpu: string; tokens: number[] }> {
  const generator = (await pipeline('text-generation', 'soak-model', {
    device: 'webgpu',
    dtype: dtype as 'q4',
  })) as TextGenerationPipeline;
  const device = await runtimeDevice(env.backends.onnx);
  witness.watchDevice(device);
  const objects: [string, object][] = [
    ['device', device],
    ['queue', device.queue],
    ['session', Object.values(generator.model.sessions)[0] as object],
    ['model', generator.model],
  ];
  const before = objects.map(([, object]) => witness.remember(object));
  const sift = await enableSift(generator, { quality, siftFrom: 0 });
  const watched = objects.map(([name, object], i) => ({
    name,
    object,
    before: before[i]!,
    after: witness.remember(object),
  }));
  loaded = { generator, sift, watched };
  const { vendor = '', architecture = '', description = '' } = device.adapterInfo;
  const ids = generator.tokenizer(text, { add_special_tokens: false }).input_ids as Tensor;
  return {
    gpu: [vendor, architecture, description].filter(Boolean).join(' '),
    tokens: Array.from(ids.data as BigInt64Array, Number),
  };
}

/** Interrupts a generation at a step. */
class Interrupter extends LogitsProcessor {
  private step = 0;
  constructor(
    private readonly stop: InterruptableStoppingCriteria,
    private readonly at: number,
  ) {
    super();
  }
  override _call(_: bigint[][], logits: Tensor): Tensor {
    if (++this.step === this.at) this.stop.interrupt();
    return logits;
  }
}

const int64 = (values: readonly number[]): Tensor =>
  new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);

/** Does a conversation; all of its tokens. */
async function talk({ turns, interruptAt }: Talk): Promise<number[]> {
  const { generator } = loaded!;
  // A single turn leaves the cache to transformers.js; an app that goes on keeps it.
  const cache = turns.length > 1 ? new DynamicCache() : undefined;
  let tokens: number[] = [];
  for (const { prompt, count } of turns) {
    const stop = new InterruptableStoppingCriteria();
    const processors = new LogitsProcessorList();
    if (interruptAt !== null) processors.push(new Interrupter(stop, interruptAt));
    const output = (await generator.model.generate({
      inputs: int64([...tokens, ...prompt]),
      max_new_tokens: count,
      do_sample: false,
      logits_processor: processors,
      stopping_criteria: stop,
      ...(cache && { past_key_values: cache }),
      // A given number of tokens is compared, also past the end of a text.
      eos_token_id: -1,
    } as never)) as Tensor;
    tokens = Array.from(output.data as BigInt64Array, Number);
  }
  await cache?.dispose();
  return tokens;
}

async function look(): Promise<Look> {
  const { sift, watched } = loaded!;
  const report = await sift.report();
  return {
    buffers: witness.ownBuffers(),
    replaced: watched.flatMap(({ name, object, after }) => witness.changes(name, object, after)),
    report: {
      size: JSON.stringify(report).length,
      conversations: report.conversations,
      steps: report.steps.sifted + report.steps.dense,
      stockSteps: report.stockSteps,
    },
    errors: witness.takeErrors(),
  };
}

/** Disposes of everything; what is left behind. */
async function finish(): Promise<string[]> {
  const { generator, sift, watched } = loaded!;
  sift.dispose();
  const left = watched.flatMap(({ name, object, before }) => witness.changes(name, object, before));
  left.push(...witness.changedPrototypes());
  left.push(...(await witness.livingBuffers()));
  await generator.dispose();
  return [...left, ...witness.takeErrors()];
}

const api = { open, talk, look, finish };
declare global {
  interface Window {
    soak: typeof api;
  }
}
window.soak = api;
