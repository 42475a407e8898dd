import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildLlama, DTYPES, type Dtype, type ModelConfig } from './llama.ts';
import type { Bits } from './quantise.ts';
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
  /** Bits of the tied embedding in q4 and q4f16; default 8. */
  readonly embeddingBits?: Bits;
  /** Adds the optional input `num_logits_to_keep`; default false. */
  readonly numLogitsToKeep?: boolean;
}

/**
 * Converts a trained model (config.json, tokenizer.json, *.safetensors) to a folder that transformers.js loads.
 *
 * @returns the files written and their sizes in bytes
 */
export function convertModel(
  source: string,
  out: string,
  options: ConvertOptions = {},
): { file: string; bytes: number }[] {
  const config = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8')) as ModelConfig;
  const weights = readSafetensorsDir(source);
  mkdirSync(join(out, 'onnx'), { recursive: true });
  writeJson(join(out, 'config.json'), hubConfig(config));
  writeJson(join(out, 'generation_config.json'), { bos_token_id: END_OF_TEXT, eos_token_id: END_OF_TEXT });
  writeJson(join(out, 'tokenizer_config.json'), tokenizerConfig(config));
  writeFileSync(join(out, 'tokenizer.json'), readFileSync(join(source, 'tokenizer.json')));
  return (options.dtypes ?? DTYPES).map((dtype) => {
    const model = buildLlama(config, weights, {
      dtype,
      embeddingBits: options.embeddingBits ?? 8,
      numLogitsToKeep: options.numLogitsToKeep ?? false,
    });
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

function main(): void {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      dtype: { type: 'string', default: DTYPES.join(',') },
      'embedding-bits': { type: 'string', default: '8' },
      'num-logits-to-keep': { type: 'boolean', default: false },
    },
  });
  const [source, out] = positionals;
  const bits = Number(values['embedding-bits']);
  if (!source || !out || positionals.length > 2 || (bits !== 4 && bits !== 8)) {
    console.error(
      `usage: convert.ts SRC_DIR OUT_DIR [--dtype ${DTYPES.join(',')}] [--embedding-bits 4|8] [--num-logits-to-keep]`,
    );
    process.exitCode = 2;
    return;
  }
  if (!existsSync(join(source, 'config.json'))) throw new Error(`${source} has no config.json`);
  const written = convertModel(source, out, {
    dtypes: parseDtypes(values.dtype),
    embeddingBits: bits,
    numLogitsToKeep: values['num-logits-to-keep'],
  });
  for (const { file, bytes } of written) console.log(`${join(out, file)}  ${(bytes / 1e6).toFixed(2)} MB`);
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) main();
