// What the compiler accepts and refuses: checked by `npm run check`, never run.
import type {
  AutoModelForCausalLM,
  PreTrainedModel,
  PreTrainedTokenizer,
  Processor,
  TextGenerationPipeline,
} from '@huggingface/transformers';
import type { MLCEngine, MLCEngineInterface, WebWorkerMLCEngineHandler } from '@mlc-ai/web-llm';
import {
  type ChatMessage,
  type Comparison,
  enableSift,
  isSupported,
  paperPolicy,
  type Sift,
  SiftError,
  type SiftOptions,
  type SiftReport,
  type SiftSummary,
  type Support,
} from './index.ts';
import { enableSift as enableTransformers } from './transformers.ts';
import { enableSift as enableWebLlm } from './web-llm.ts';

declare const generator: TextGenerationPipeline;
declare const model: PreTrainedModel;
declare const loaded: Awaited<ReturnType<typeof AutoModelForCausalLM.from_pretrained>>;
declare const tokenizer: PreTrainedTokenizer;
declare const processor: Processor;
declare const engine: MLCEngine;
declare const engineInterface: MLCEngineInterface;
declare const handler: WebWorkerMLCEngineHandler;
declare const nothing: unknown;

const sift: Sift = await enableSift(generator);
await enableSift(model, { quality: 'high', siftFrom: 0 });
await enableSift(loaded);
await enableSift({ model, tokenizer });
await enableSift({ model, processor });
await enableSift(engine);
await enableSift(engineInterface);
await enableSift(handler);
// @ts-expect-error it could be anything
await enableSift(nothing);
// @ts-expect-error a tokenizer decodes nothing
await enableSift(tokenizer);
// @ts-expect-error a name is no model
await enableSift('HuggingFaceTB/SmolLM2-135M-Instruct');
// @ts-expect-error a promise that was not awaited
await enableSift(Promise.resolve(generator));
// @ts-expect-error nothing at all
await enableSift(undefined);
// @ts-expect-error an object without a model
await enableSift({ tokenizer });
// @ts-expect-error an object whose model is an engine
await enableSift({ model: engine });
// @ts-expect-error several models at once
await enableSift([model]);
// @ts-expect-error unknown option
await enableSift(generator, { Quality: 'high' });
// @ts-expect-error wrong value
await enableSift(generator, { quality: 'best' });
// @ts-expect-error wrong value
await enableSift(generator, { onUnsupported: 'warn' });

// With exactOptionalPropertyTypes, too: settings of an app are often there or not.
declare const setting: 'high' | undefined;
await enableSift(generator, { quality: setting, keys: undefined, siftFrom: undefined, device: undefined });
paperPolicy({ tau: undefined });

await enableTransformers({ model, tokenizer }, { quality: undefined });
await enableTransformers(generator);
await enableWebLlm(engine);
await enableWebLlm(engineInterface);
// @ts-expect-error an engine of web-llm
await enableTransformers(engine);
await enableWebLlm(handler);
// @ts-expect-error a pipeline of transformers.js
await enableWebLlm(generator);

const options: SiftOptions = { mode: 'paper', tau: 0.875, warmup: 64, onUnsupported: 'ignore' };
const report: SiftReport = await (await enableSift(generator, options)).report();
const kept: number | null = report.keptGroup;
// Signals, progress, and what a setting may leave open.
const leaving = new AbortController();
await enableSift(generator, {
  signal: leaving.signal,
  onProgress: ({ stage, fraction }) => [stage, fraction],
});
declare const maybe: AbortSignal | undefined;
await enableSift(generator, { signal: maybe });
// @ts-expect-error a controller is no signal
await enableSift(generator, { signal: leaving });

// Which report it is follows from the options.
const summary: SiftSummary = await sift.report({ summary: true });
const whole: SiftReport = await sift.report({ summary: false });
// @ts-expect-error a summary has no layers
summary.layers;
// @ts-expect-error unknown option
await sift.report({ sumary: true });

const messages: readonly ChatMessage[] = [{ role: 'user', content: 'Hello' }];
const comparison: Comparison = await sift.compare('Once upon a time', { maxNewTokens: 8, signal: maybe });
await sift.compare(messages);
await sift.compare([1, 2, 3]);
await sift.compare(BigInt64Array.of(1n, 2n));
await sift.compare([{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }]);
// @ts-expect-error a number is no prompt
await sift.compare(3);
// @ts-expect-error web-llm calls it so
await sift.compare('Hello', { max_tokens: 8 });
const slower: number | null = comparison.stock.millisecondsPerToken;

// Without a target the browser is asked, which takes a while.
const browser: Promise<Support> = isSupported();
// @ts-expect-error a promise has no such property
browser.supported;
// @ts-expect-error a tokenizer decodes nothing
isSupported(tokenizer);
isSupported(engineInterface);
const answer: { supported: boolean; reason: string | null } = isSupported(generator);
const error = new SiftError('LATE_ENABLE', 'late');
export const used = [whole, slower, kept, answer, error.code, sift.unsupported?.code];
