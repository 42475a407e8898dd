import { describe, expect, test } from 'vitest';
import { readPrompt } from './prompt.ts';

/** A token for each letter, its code; special tokens before are 1 and 2. */
function tokenizer(extra: object = {}) {
  const encode = (text: string, { add_special_tokens }: { add_special_tokens: boolean }) => {
    const ids = [...(add_special_tokens ? [1] : []), ...[...text].map((letter) => letter.charCodeAt(0))];
    return { input_ids: { ort_tensor: { data: BigInt64Array.from(ids, BigInt) } } };
  };
  return Object.assign(encode, {
    decode: (ids: number[]) => String.fromCharCode(...ids),
    apply_chat_template: (messages: { role: string; content: string }[]) =>
      `${messages.map(({ role, content }) => `${role}=${content};`).join('')}assistant=`,
    ...extra,
  });
}
const codes = (text: string) => [...text].map((letter) => letter.charCodeAt(0));

describe('readPrompt', () => {
  test('a text, as the pipeline or the tokenizer itself would encode it', () => {
    const tokensOf = (given: object) => readPrompt(given, 'abc').tokens;
    expect(tokensOf({ task: 'text-generation', tokenizer: tokenizer() })).toEqual(codes('abc'));
    expect(tokensOf({ task: 'text-generation', tokenizer: tokenizer({ add_bos_token: true }) })).toEqual([
      1,
      ...codes('abc'),
    ]);
    expect(tokensOf({ tokenizer: tokenizer() })).toEqual([1, ...codes('abc')]);
    expect(tokensOf({ processor: { tokenizer: tokenizer() } })).toEqual([1, ...codes('abc')]);
  });

  test('messages, by the template, which brings special tokens itself', () => {
    const messages = [{ role: 'user', content: 'hi' }];
    const { tokens, textOf } = readPrompt({ tokenizer: tokenizer({ add_bos_token: true }) }, messages);
    expect(tokens).toEqual(codes('user=hi;assistant='));
    expect(textOf(codes('yes'))).toBe('yes');
  });

  test('the ids of tokens, of any kind of array; without a tokenizer they have no text', () => {
    for (const ids of [[5, 6], [5n, 6n], Int32Array.of(5, 6), BigInt64Array.of(5n, 6n)]) {
      const { tokens, textOf } = readPrompt({}, ids);
      expect([tokens, textOf([7])]).toEqual([[5, 6], null]);
    }
  });

  test.each([
    ['abc', {}, 'no tokenizer'],
    [[{ role: 'user', content: 'hi' }], { tokenizer: null }, 'no tokenizer'],
    ['', { task: 'text-generation', tokenizer: tokenizer() }, 'at least one token'],
    [[], {}, 'at least one token'],
    [[1.5], {}, 'at least one token'],
    [[-1], {}, 'at least one token'],
    [['1'], {}, 'at least one token'],
    [null, {}, 'at least one token'],
    [{ text: 'abc' }, {}, 'at least one token'],
  ])('%j is refused', (prompt, given, allowed) => {
    expect(() => readPrompt(given, prompt as never)).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTION',
        option: 'prompt',
        allowed: expect.stringContaining(allowed),
      }),
    );
  });
});
