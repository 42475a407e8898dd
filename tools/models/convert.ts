import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { calibrate } from './calibrate.ts';
import type { Compensation } from './compensation.ts';
import { buildLlama, DTYPES, type Dtype, type ModelConfig } from './llama.ts';
import { readSafetensorsDir } from './safetensors.ts';

/** The id of `<|endoftext|>`, which begins and ends every document. */
const END_OF_TEXT = 0;

/** File names under onnx/, as transformers.js looks them up. */
export const ONNX_FILES: Readonly<Record<Dtype, string>> = {
  fp32: 'model.onnx',
  fp16: 'model_fp16.onnx',
  q4: 'model_q4.onnx',
  q4f16: 'model_q4f16.onnx',
};

export interface ConvertOptions {
  /** Variants to write; default all. */
  readonly dtypes?: readonly Dtype[];
  /** Text whose last part the quantisation is fitted to; default: plain rounding, which loses more. */
  readonly calibrationText?: string;
  /** Adds the optional input `num_logits_to_keep`; default false. */
  readonly numLogitsToKeep?: boolean;
}

/**
 * Converts a trained model (config.json, tokenizer.json, *.safetensors) to a folder that transformers.js loads.
 *
 * @returns the files written and their sizes in bytes
 */
export async function convertModel(
  source: string,
  out: string,
  options: ConvertOptions = {},
): Promise<{ file: string; bytes: number }[]> {
  const config = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8')) as ModelConfig;
  const weights = readSafetensorsDir(source);
  mkdirSync(join(out, 'onnx'), { recursive: true });
  writeJson(join(out, 'config.json'), hubConfig(config));
  writeJson(join(out, 'generation_config.json'), { bos_token_id: END_OF_TEXT, eos_token_id: END_OF_TEXT });
  writeJson(join(out, 'tokenizer_config.json'), tokenizerConfig(config));
  writeFileSync(join(out, 'tokenizer.json'), readFileSync(join(source, 'tokenizer.json')));
  const dtypes = options.dtypes ?? DTYPES;
  const { calibrationText: text, numLogitsToKeep = false } = options;
  let compensations: ReadonlyMap<string, Compensation> = new Map();
  if (text !== undefined && dtypes.some((dtype) => dtype.startsWith('q4'))) {
    compensations = await calibrate(buildLlama(config, weights, { dtype: 'fp32' }), out, text);
  }
  return dtypes.map((dtype) => {
    const model = buildLlama(config, weights, { dtype, numLogitsToKeep, compensations });
    const file = `onnx/${ONNX_FILES[dtype]}`;
    writeFileSync(join(out, file), model);
    return { file, bytes: model.byteLength };
  });
}

function hubConfig(config: ModelConfig): object {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    ...config,
    hidden_act: 'silu',
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: END_OF_TEXT,
    eos_token_id: END_OF_TEXT,
    torch_dtype: 'float16',
    use_cache: true,
    'transformers.js_config': { kv_cache_dtype: { fp16: 'float16', q4f16: 'float16' } },
  };
}

function tokenizerConfig(config: ModelConfig): object {
  const token = '<|endoftext|>';
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: token,
    eos_token: token,
    pad_token: token,
    add_bos_token: false,
    add_eos_token: false,
    clean_up_tokenization_spaces: false,
    model_max_length: config.max_position_embeddings,
  };
}

function writeJson(file: string, value: object): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

function parseDtypes(list: string): Dtype[] {
  return list.split(',').map((name) => {
    const dtype = DTYPES.find((known) => known === name);
    if (!dtype) throw new Error(`--dtype: ${name} is none of ${DTYPES.join(', ')}`);
    return dtype;
  });
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      dtype: { type: 'string', default: DTYPES.join(',') },
      calibrate: { type: 'string' },
      'num-logits-to-keep': { type: 'boolean', default: false },
    },
  });
  const [source, out] = positionals;
  if (!source || !out || positionals.length > 2) {
    const list = DTYPES.join(',');
    console.error(
      `usage: convert.ts SRC_DIR OUT_DIR [--dtype ${list}] [--calibrate TEXT] [--num-logits-to-keep]`,
    );
    process.exitCode = 2;
    return;
  }
  const written = await convertModel(source, out, {
    dtypes: parseDtypes(values.dtype),
    numLogitsToKeep: values['num-logits-to-keep'],
    ...(values.calibrate ? { calibrationText: readFileSync(values.calibrate, 'utf8') } : {}),
  });
  for (const { file, bytes } of written) console.log(`${join(out, file)}  ${(bytes / 1e6).toFixed(2)} MB`);
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
