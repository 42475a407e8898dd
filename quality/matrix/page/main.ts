// One model in one page: stock, every row through our kernels, the default options, and stock again.
import { AutoModelForCausalLM, env, type PreTrainedModel, Tensor } from '@huggingface/transformers';
import { runtimeDevice } from '../../../lab/decoding/decoder.ts';
import { useServedModels } from '../../../lab/decoding/hub-decoder.ts';
import { hideNarrowSubgroups } from '../../../lab/narrow-subgroups.ts';
import { layerOfPastKey } from '../../../src/adapters/transformers/runtime.ts';
import { enableSift, type Sift, SiftError, type SiftOptions } from '../../../src/index.ts';
import { createRandom } from '../../../src/oracle/index.ts';
import { compareSteps, stockDecoding } from '../comparison.ts';
import type {
  DecodingPlan,
  Failure,
  OurDecoding,
  PluginMeasurement,
  Span,
  StockMeasurement,
} from '../measurement.ts';

const query = new URLSearchParams(location.search);
if (!query.has('subgroups')) hideNarrowSubgroups();
useServedModels('/matrix-models/');
const runtime = query.get('runtime');
if (runtime) env.backends.onnx.wasm!.wasmPaths = runtime;

const uncaught: string[] = [];
addEventListener('error', ({ message }) => uncaught.push(message));
addEventListener('unhandledrejection', ({ reason }) => uncaught.push(String(reason)));

/** What is being done, for a report about a page that died of it. */
async function stage<T>(name: string, work: () => Promise<T>): Promise<T> {
  await window.matrixStage(name);
  try {
    return await work();
  } catch (error) {
    if (error instanceof SiftError || error instanceof StageError) throw error;
    throw new StageError(name, error);
  }
}

class StageError extends Error {
  constructor(
    readonly stage: string,
    override readonly cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause));
  }
}

function failureOf(error: unknown): Failure {
  const { stage, cause } = error instanceof StageError ? error : { stage: '', cause: error };
  const name = cause instanceof Error ? cause.name : typeof cause;
  return { stage, name, message: cause instanceof Error ? cause.message : String(cause) };
}

const load = (plan: DecodingPlan): Promise<PreTrainedModel> =>
  stage('loading the model', () =>
    AutoModelForCausalLM.from_pretrained(plan.name, { device: 'webgpu', dtype: plan.dtype as 'q4' }),
  );

/** The adapter of the runtime's device, its vendor first. */
async function adapterName(): Promise<string> {
  const { vendor, architecture, description } = (await runtimeDevice(env.backends.onnx)).adapterInfo;
  return [vendor, architecture, description].filter(Boolean).join(' ');
}

/** A prompt: tokens drawn from the vocabulary, without the special ones at both ends. */
function promptOf(model: PreTrainedModel, length: number): Tensor {
  const config = model.config as { vocab_size?: number; text_config?: { vocab_size?: number } };
  const vocabulary = config.vocab_size ?? config.text_config?.vocab_size ?? 256;
  const random = createRandom(1);
  const span = Math.min(vocabulary, 32_000) - 32;
  const ids = BigInt64Array.from({ length }, () => BigInt(16 + random.integer(span)));
  return new Tensor('int64', ids, [1, length]);
}

/**
 * Generates as a user would, and keeps the logits of every step, [1 + steps][vocabulary].
 *
 * @param forced - tokens to go on with instead of the most likely ones: one flipped near-tie would spoil all steps after it
 */
async function decode(
  model: PreTrainedModel,
  { prompt, steps }: Span,
  forced?: readonly number[],
): Promise<Float32Array[]> {
  const inputs = promptOf(model, prompt);
  const rows: Float32Array[] = [];
  const record = (_ids: bigint[][], logits: Tensor) => {
    const data = logits.data as Float32Array;
    const token = forced?.[rows.length];
    rows.push(data.slice());
    if (token !== undefined) {
      data.fill(Number.NEGATIVE_INFINITY);
      data[token] = 0;
    }
    return logits;
  };
  await model.generate({
    inputs,
    attention_mask: new Tensor('int64', new BigInt64Array(prompt).fill(1n), [1, prompt]),
    max_new_tokens: steps + 1,
    do_sample: false,
    eos_token_id: -1,
    logits_processor: [record],
  } as never);
  return rows;
}

/** Decodes with the plugin on, and holds it against stock. */
async function ours(
  model: PreTrainedModel,
  span: Span,
  sift: Sift,
  stock: readonly Float32Array[],
): Promise<OurDecoding> {
  const logits = await decode(model, span, stockDecoding(stock).tokens);
  const { layers, steps, stockSteps, cache, reasons } = await sift.report();
  return {
    differences: compareSteps(stock, logits),
    // The report also lists layers that could have been routed and were not: they have no share.
    layers: layers.flatMap(({ layer, keptGroup }) => (keptGroup === null ? [] : [{ layer, keptGroup }])),
    ...steps,
    stock: stockSteps,
    cache: cache.kind,
    reasons: [...reasons, ...cache.reasons].map(({ reason }) => reason),
  };
}

async function measurePlugin(plan: DecodingPlan): Promise<PluginMeasurement> {
  const result: PluginMeasurement = {
    adapter: '',
    refused: null,
    error: null,
    before: null,
    exact: null,
    sifted: null,
    after: null,
    uncaught,
  };
  const enable = (model: PreTrainedModel, name: string, options: SiftOptions) =>
    stage(`enableSift, ${name}`, () => enableSift(model, { siftFrom: 0, ...options }));
  try {
    const model = await load(plan);
    result.adapter = await adapterName();
    const bits = (when: string) => stage(when, async () => stockDecoding(await decode(model, plan.short)));
    let sift: Sift;
    try {
      sift = await enable(model, 'exact', { quality: 'exact' });
    } catch (error) {
      if (!(error instanceof SiftError)) throw error;
      result.refused = { code: error.code, message: error.message };
      result.before = await bits('stock after the refusal');
      return result;
    }
    sift.disable();
    result.before = await bits('stock, switched off');
    const stock = await stage('stock to hold ours against', () => decode(model, plan.long));
    sift.enable();
    result.exact = await stage('every row', () => ours(model, plan.long, sift, stock));
    sift.dispose();
    sift = await enable(model, 'defaults', {});
    result.sifted = await stage('sifted', () => ours(model, plan.long, sift, stock));
    sift.disable();
    result.after = await bits('stock, switched off again');
  } catch (error) {
    if (error instanceof SiftError && !result.refused)
      result.refused = { code: error.code, message: error.message };
    else result.error = failureOf(error);
  }
  return result;
}

async function measureStock(plan: DecodingPlan, times: number): Promise<StockMeasurement> {
  const result: StockMeasurement = { layers: 0, adapter: '', decodings: [], error: null };
  try {
    const model = await load(plan);
    result.adapter = await adapterName();
    const sessions = Object.values(model.sessions as Record<string, { inputNames: readonly string[] }>);
    result.layers = sessions
      .flatMap(({ inputNames }) => inputNames)
      .filter((name) => layerOfPastKey(name) !== undefined).length;
    for (let i = 0; i < times; i++)
      result.decodings.push(await stage('stock', async () => stockDecoding(await decode(model, plan.short))));
  } catch (error) {
    result.error = failureOf(error);
  }
  return result;
}

const api = { measureStock, measurePlugin };

declare global {
  interface Window {
    matrix: typeof api;
    /** Told by the server's side. */
    matrixStage(name: string): Promise<void>;
  }
}
window.matrix = api;
