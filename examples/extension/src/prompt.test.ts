import { expect, test } from 'vitest';
import { firstSentence, textFrame } from './prompt.ts';

test('a model that does not chat is asked in a text', () => {
  expect(textFrame('Who wrote this? ').after).toBe('\n\nQuestion: Who wrote this?\nAnswer:');
});

test('an answer ends with its sentence or line, but not within a number', () => {
  expect(firstSentence(' 48213. Remember')).toEqual({ text: '48213.', complete: true });
  expect(firstSentence(' 48213.')).toEqual({ text: '48213.', complete: false });
  expect(firstSentence(' 3.5 metres\nand')).toEqual({ text: '3.5 metres', complete: true });
});
