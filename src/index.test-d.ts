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
  enableSift,
  isSupported,
  paperPolicy,
  type Sift,
  SiftError,
  type SiftOptions,
  type SiftReport,
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
// @ts-expect-error an engine of web-llm
await enableTransformers(engine);
await enableWebLlm(handler);
// @ts-expect-error a pipeline of transformers.js
await enableWebLlm(generator);

const options: SiftOptions = { mode: 'paper', tau: 0.875, warmup: 64, onUnsupported: 'ignore' };
const report: SiftReport = await (await enableSift(generator, options)).report();
const kept: number | null = report.keptGroup;
const answer: { supported: boolean; reason: string | null } = isSupported(generator);
const error = new SiftError('LATE_ENABLE', 'late');
export const used = [kept, answer, error.code, sift.unsupported?.code];
