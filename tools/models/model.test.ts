import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { env, Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import {
  encodeDocuments,
  forward,
  type LoadedModel,
  loadModel,
  plantCode,
  recalls,
  windowLosses,
} from './measure.ts';
import { EXCERPT_LOSSES } from './reference.ts';

// The embedded model on the CPU; model.e2e.ts runs it in a browser.
describe('models/tiny, q4', () => {
  let loaded: LoadedModel;
  let ids: number[];

  beforeAll(async () => {
    env.allowRemoteModels = false;
    env.localModelPath = join(ROOT, 'models');
    loaded = await loadModel('tiny', 'q4', 'cpu');
    ids = encodeDocuments(loaded.tokenizer, readFileSync(join(ROOT, 'models/text/excerpt.txt'), 'utf8'));
  });

  afterAll(async () => {
    await loaded.model.dispose();
  });

  test('has the recorded loss on the excerpt, close to that of the unquantised model', async () => {
    const losses = await windowLosses(loaded, ids, 2, 1024);
    losses.forEach((loss, w) => {
      expect(Math.abs(loss - EXCERPT_LOSSES.q4[w]!)).toBeLessThan(0.002);
      expect(loss - EXCERPT_LOSSES.fp32[w]!).toBeLessThan(0.07);
    });
  });

  test('gives the same logits token by token with a cache as at once', async () => {
    const prompt = ids.slice(0, 24);
    const { logits } = await forward(loaded.model, prompt);
    const rows = logits!.data as Float32Array;
    const vocab = rows.length / prompt.length;
    let cache: Record<string, Tensor> | undefined;
    for (let i = 0; i < prompt.length; i++) {
      const outputs: Record<string, Tensor> = await loaded.model({
        input_ids: new Tensor('int64', [BigInt(prompt[i]!)], [1, 1]),
        attention_mask: new Tensor('int64', new BigInt64Array(i + 1).fill(1n), [1, i + 1]),
        ...(cache ? { past_key_values: cache } : {}),
      });
      cache = {};
      for (const [name, tensor] of Object.entries(outputs)) {
        if (name !== 'logits') cache[name.replace('present', 'past_key_values')] = tensor;
      }
      const row = outputs.logits!.data as Float32Array;
      row.forEach((x, t) => {
        if (Math.abs(x - rows[i * vocab + t]!) > 1e-3) throw new Error(`position ${i}, token ${t}: ${x}`);
      });
    }
  });

  test.each([0, 1, 2])('recalls a code planted in 1,000 tokens, in form %i', async (form) => {
    expect(await recalls(loaded, plantCode(loaded.tokenizer, ids, 1000, form))).toBe(true);
  });
});
