import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { runtimeDevice } from '../../lab/decoding/decoder.ts';
import { type DecoderConfig, SessionDecoder } from '../../lab/decoding/session-decoder.ts';
import { promptChunk } from '../../lab/narrow-subgroups.ts';
import { startDawn } from '../../lab/node/dawn.ts';
import { loadOrt } from '../../lab/node/onnxruntime.ts';
import { copySharedWrites } from '../../lab/node/shared-memory.ts';
import type { OpenEvaluator } from './browser.ts';
import { DecoderEvaluator, type ModelFacts } from './evaluator.ts';

/** File of a model's weights by type, without the ending. */
export const MODEL_FILES: Record<string, string> = {
  fp32: 'model',
  fp16: 'model_fp16',
  q4: 'model_q4',
  q4f16: 'model_q4f16',
};

/** The first type of weights that a folder has, f32 before the others. */
export function dtypeIn(folder: string): string {
  const found = Object.entries(MODEL_FILES).find(([, file]) => existsSync(join(folder, `onnx/${file}.onnx`)));
  if (!found) throw new Error(`${folder} holds no converted model (onnx/model*.onnx).`);
  return found[0];
}

/** Opens a model over onnxruntime-web and Dawn in Node, without a browser. */
export async function openNodeEvaluator(
  folder: string,
  dtype: string,
  progress: (message: string) => void,
): Promise<OpenEvaluator> {
  const json = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  await startDawn();
  copySharedWrites();
  const ort = await loadOrt();
  ort.env.logLevel = 'error';
  const config: DecoderConfig & ModelFacts = json('config.json');
  const tokenizer = new Tokenizer(json('tokenizer.json'), json('tokenizer_config.json'));
  const tokenise = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids;
  const model = readFileSync(join(folder, `onnx/${MODEL_FILES[dtype] ?? `model_${dtype}`}.onnx`));
  const cacheType = dtype.endsWith('16') ? 'float16' : 'float32';
  const decoder = await SessionDecoder.open(ort, model, config, cacheType);
  const device = await runtimeDevice(ort.env);
  decoder.chunk = promptChunk(device);
  const evaluator = await DecoderEvaluator.create(decoder, device, tokenise, config, progress);
  return { evaluator, close: () => decoder.release() };
}
