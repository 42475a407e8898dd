import { expect, test } from 'vitest';
import { makeTask, type TaskSource, taskNames } from './index.ts';
import { questionAndAnswer, score } from './task.ts';

// A tokenizer of words, numbers digit by digit.
const words: string[] = [];
const idOf = (word: string): number => {
  const found = words.indexOf(word);
  return found >= 0 ? found : words.push(word) - 1;
};
const encode = (text: string): number[] => (text.match(/\d|\s*[^\s\d]+|\s+/g) ?? []).map(idOf);
const decode = (tokens: readonly number[]): string => tokens.map((token) => words[token]).join('');
const filler = Array.from({ length: 3000 }, (_, i) => idOf(` filler${i}`));
const source: TaskSource = { filler, encode, learning: 32, context: 8192 };

test.each(['recall:1024', 'recall8:1024'])(
  '%s: each code is planted once and asked for after the learning steps',
  (name) => {
    const { items } = makeTask(name, source);
    expect(items).toHaveLength(name === 'recall:1024' ? 9 : 3);
    const depths: number[] = [];
    for (const { turns } of items) {
      const [{ prompt, decode: steps, answers }] = turns as [(typeof turns)[0]];
      expect(prompt.length + source.learning).toBe(1024);
      expect(decode(steps.slice(0, source.learning))).toMatch(/^( filler\d+)+$/);
      expect(answers).toHaveLength(name === 'recall:1024' ? 1 : 8);
      const text = decode(prompt);
      for (const [from, to] of answers) {
        expect(from).toBeGreaterThan(source.learning);
        const code = decode(steps.slice(from, to)).trim();
        expect(code).toMatch(/^\d{5}$/);
        expect(text.split(code)).toHaveLength(2);
        depths.push(text.indexOf(code) / text.length);
        // The question names the thing that the code was planted with.
        const things = decode(steps.slice(0, from)).matchAll(
          /for the (\w+ \w+)\?|number of the (\w+ \w+)\?|key to the (\w+ \w+)\?/g,
        );
        const thing = [...things].at(-1)!;
        const named = thing.slice(1).find(Boolean)!;
        expect(text.includes(`${named} is ${code}`)).toBe(true);
      }
    }
    expect(Math.min(...depths)).toBeLessThan(0.12);
    expect(Math.max(...depths)).toBeGreaterThan(0.9);
  },
);

test('the same name gives the same tokens, another length others', () => {
  expect(makeTask('recall8:1024', source)).toEqual(makeTask('recall8:1024', source));
  expect(makeTask('recall:1024', source).items[0]).not.toEqual(makeTask('recall:2048', source).items[0]);
});

test('copy: the prompt has the digits in a row, and the answers are all but the first of them', () => {
  for (const { turns } of makeTask('copy:512', source).items) {
    const [{ prompt, decode: steps, answers }] = turns as [(typeof turns)[0]];
    const digits = decode(steps.slice(source.learning));
    expect(digits).toMatch(/^\d{64}$/);
    expect(decode(prompt)).toContain(digits);
    expect(answers.map(([from, to]) => decode(steps.slice(from, to))).join('')).toBe(digits.slice(16));
  }
});

test('turns: later turns ask for a code of an earlier one, too', () => {
  for (const { turns } of makeTask('turns:1024x2', source).items) {
    expect(turns.map(({ answers }) => answers.length)).toEqual([1, 2, 2]);
    let before = '';
    for (const { prompt, decode: steps, answers } of turns) {
      before += decode(prompt);
      for (const [from, to] of answers) expect(before).toContain(decode(steps.slice(from, to)).trim());
    }
  }
});

test('names that are no task are refused', () => {
  for (const name of ['recal:1024', 'recall', 'recall:100', 'recall:9000'])
    expect(() => makeTask(name, source)).toThrow();
  expect(taskNames('all', 2048)).toEqual([
    'recall:1024',
    'recall8:1024',
    'recall:2048',
    'recall8:2048',
    'copy:1024',
    'turns:2048',
  ]);
});

test('an answer counts whole or not at all; tokens count by themselves', () => {
  const stock = [
    [
      [true, true],
      [true, false],
    ],
    [[true]],
  ];
  const policy = [
    [
      [true, false],
      [true, false],
    ],
    [[true]],
  ];
  expect(score(stock, policy)).toEqual({
    ...{ asked: 3, stock: 2, exact: 1, agree: 2 },
    ...{ tokensStock: 4 / 5, tokens: 3 / 5 },
  });
});

test('a tokenizer that joins question and answer', () => {
  const joined = (text: string) => [...text.replace('is 1', '@')].map((c) => c.charCodeAt(0));
  const { question, answer } = questionAndAnswer(joined, 'it is', ' 12');
  expect(String.fromCharCode(...question, ...answer)).toBe('it @2');
});
