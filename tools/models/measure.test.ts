import { join } from 'node:path';
import { AutoTokenizer, env, type PreTrainedTokenizer } from '@huggingface/transformers';
import { beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import { encodeDocuments, meanLoss, plantCode } from './measure.ts';

describe('meanLoss', () => {
  test('is the logarithm of the vocabulary for equal logits', () => {
    expect(meanLoss(new Float32Array(3 * 50).fill(7), [0, 49, 20])).toBeCloseTo(Math.log(50), 12);
  });

  test('reads the row of each position, and stands large logits', () => {
    const logits = Float32Array.of(1000, 0, 0, Math.log(3));
    expect(meanLoss(logits, [0, 1])).toBeCloseTo(-Math.log(0.75) / 2, 6);
  });
});

describe('prompts', () => {
  let tokenizer: PreTrainedTokenizer;

  beforeAll(async () => {
    env.allowRemoteModels = false;
    env.localModelPath = join(ROOT, 'models');
    tokenizer = await AutoTokenizer.from_pretrained('tiny');
  });

  test('each document is followed by token 0, and no token is put before it', () => {
    const one = tokenizer.encode('One.');
    expect(encodeDocuments(tokenizer, 'One.\n<|endoftext|>\nTwo.')).toEqual([
      ...one,
      0,
      ...tokenizer.encode('Two.'),
      0,
    ]);
    expect(one).not.toContain(0);
  });

  test.each([0, 1, 2, 3, 10])(
    'prompt %i has the asked length, its code once, and a question at its end',
    (index) => {
      const ids = tokenizer.encode('The sea was calm. '.repeat(200));
      const needle = plantCode(tokenizer, ids, 500, index);
      expect(needle.prompt).toHaveLength(500);
      expect(needle.code).toMatch(/^\d{5}$/);
      const text = tokenizer.decode(needle.prompt);
      expect(text.split(needle.code)).toHaveLength(2);
      expect(text).toMatch(/ is$/);
      expect(plantCode(tokenizer, ids, 500, index)).toEqual(needle);
    },
  );
});
