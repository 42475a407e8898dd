import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { env } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import { convertModel } from './convert.ts';
import { encodeSafetensors, fixtureConfig, fixtureWeights } from './fixture.ts';
import { DTYPES } from './llama.ts';
import { forward, loadModel, meanLoss } from './measure.ts';

const TOKENIZER = join(ROOT, 'models/tiny/tokenizer.json');
const TEXT = readFileSync(join(ROOT, 'models/text/excerpt.txt'), 'utf8');

describe('convertModel', () => {
  let source: string;
  let out: string;

  beforeAll(async () => {
    source = mkdtempSync(join(tmpdir(), 'sift-source-'));
    out = mkdtempSync(join(tmpdir(), 'sift-converted-'));
    const config = fixtureConfig({ vocab_size: 8192, max_position_embeddings: 1024 });
    writeFileSync(join(source, 'config.json'), JSON.stringify(config));
    writeFileSync(join(source, 'tokenizer.json'), readFileSync(TOKENIZER));
    writeFileSync(join(source, 'model.safetensors'), encodeSafetensors(fixtureWeights(config)));
    // Two windows are enough to see that a calibration runs.
    await convertModel(source, out, { calibrationText: TEXT.slice(-9000) });
    env.allowRemoteModels = false;
    env.localModelPath = dirname(out);
  });

  afterAll(() => {
    rmSync(source, { recursive: true });
    rmSync(out, { recursive: true });
  });

  test('writes the files that transformers.js looks for, and leaves nothing else', () => {
    expect(readdirSync(out).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'onnx',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect(readdirSync(join(out, 'onnx')).sort()).toEqual([
      'model.onnx',
      'model_fp16.onnx',
      'model_q4.onnx',
      'model_q4f16.onnx',
    ]);
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'));
    expect(config).toMatchObject({
      model_type: 'llama',
      architectures: ['LlamaForCausalLM'],
      num_key_value_heads: 2,
      head_dim: 16,
      eos_token_id: 0,
    });
  });

  test('all variants load and nearly agree', async () => {
    const ids = [5, 900, 17, 4000, 4001, 33, 8191, 5];
    const losses: Record<string, number> = {};
    for (const dtype of DTYPES) {
      const { model, tokenizer } = await loadModel(basename(out), dtype, 'cpu');
      expect(tokenizer.encode('a<|endoftext|>')).toEqual([65, 0]);
      const { logits } = await forward(model, ids.slice(0, -1));
      losses[dtype] = meanLoss(logits!.data as Float32Array, ids.slice(1));
      await model.dispose();
    }
    expect(losses.fp16).toBeCloseTo(losses.fp32!, 1);
    expect(losses.q4f16).toBeCloseTo(losses.q4!, 1);
  });
});
