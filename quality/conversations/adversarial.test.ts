import { expect, test } from 'vitest';
import { BUILDERS, type Conversation, conversationNames, SHORT_PROMPT } from './adversarial.ts';

const run = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
const SOURCE = {
  prose: [run(1000, 40), run(2000, 40), run(3000, 4)],
  code: run(4000, 50),
  foreign: run(5000, 50),
  vocabulary: 8192,
};
const SIZES = { prompt: 12, steps: 20, long: 30 };
const made = (name: string) => BUILDERS[name]!(SOURCE, SIZES) as Conversation;

test.each(Object.keys(BUILDERS).filter((name) => !name.startsWith('own')))(
  '%s has the tokens of its prompt, of its steps, and the last target',
  (name) => {
    const { tokens, prompt, steps, breakAt, ...rest } = made(name);
    expect(rest.name).toBe(name);
    expect(tokens).toHaveLength(prompt + steps + 1);
    expect(tokens.every((token) => token >= 0 && token < SOURCE.vocabulary)).toBe(true);
    expect(breakAt).toBeLessThanOrEqual(steps);
    expect(made(name).tokens).toEqual(tokens); // always the same
  },
);

test('a topic is switched where the step says, to a document that is long enough', () => {
  const { tokens, prompt, breakAt } = made('topic switch');
  expect(breakAt).toBe(11);
  expect(tokens.slice(0, prompt + breakAt - 1)).toEqual(run(1000, 22));
  expect(tokens.slice(prompt + breakAt - 1)).toEqual(run(2000, 11));
});

test('what follows the prompt is of the other kind', () => {
  const { tokens, prompt } = made('one token repeated');
  expect(new Set(tokens.slice(prompt))).toEqual(new Set([tokens[prompt - 1]]));
  expect(new Set(made('prose after one token').tokens.slice(0, 12)).size).toBe(1);
  expect(made('code after prose').tokens.slice(12)).toEqual(run(4000, 21));
  expect(made('another language after prose').tokens.slice(12)).toEqual(run(5000, 21));
  // A passage that is shorter than the steps comes again from its beginning.
  const { tokens: copy } = made('copy');
  expect(copy.slice(12, 24)).toEqual(copy.slice(0, 12));
  expect(copy.slice(24)).toEqual(copy.slice(0, 9));
});

test('short prompts have 20 tokens; the model may have to make the others', () => {
  expect(made('short prompt')).toMatchObject({ prompt: SHORT_PROMPT, steps: 30 });
  const { tokens, ...open } = BUILDERS['own words after a short prompt']!(SOURCE, SIZES);
  expect(tokens).toBeNull();
  expect(open).toMatchObject({ begin: run(1000, 20), prompt: 20, steps: 30 });
});

test('a text that is too short is named', () => {
  expect(() => BUILDERS['code after prose']!({ ...SOURCE, code: [1, 2] }, SIZES)).toThrow(
    'The code has 2 tokens; the conversations take 21 of it.',
  );
});

test('names are checked', () => {
  expect(conversationNames('all')).toEqual(Object.keys(BUILDERS));
  expect(conversationNames('copy, random tokens')).toEqual(['copy', 'random tokens']);
  expect(() => conversationNames('copy,haiku')).toThrow('--conversations is "haiku"; it is all, or some of:');
});
