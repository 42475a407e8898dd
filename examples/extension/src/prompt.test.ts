import { expect, test } from 'vitest';
import { answerBegins, firstSentence, suggestions, textFrame } from './prompt.ts';

test('questions are found for the codes of a text, each once', () => {
  const text =
    'It rained. The access code for the silent harbor is 48213. Remember it. Note that the number of the golden river is 90417. The key to the old mill is 11111. The access code for the silent harbor is 48213. The price of the old mill is 22222.';
  expect(suggestions(text)).toEqual([
    'What is the access code for the silent harbor?',
    'What is the number of the golden river?',
    'What is the key to the old mill?',
  ]);
});

test('an answer begins as its question gives away, in the form that the model was trained on', () => {
  expect(answerBegins('What is the access code for the silent harbor?')).toBe(
    'The access code for the silent harbor is',
  );
  expect(answerBegins('Who wrote this?')).toBeNull();
  expect(textFrame('What is the number of the golden river?').after).toBe(
    '\n\nQuestion: What is the number of the golden river?\nAnswer: The number of the golden river is',
  );
  expect(textFrame('Who wrote this?').after).toBe('\n\nQuestion: Who wrote this?\nAnswer:');
});

test('an answer ends with its sentence or line, but not within a number', () => {
  expect(firstSentence(' 48213. Remember')).toEqual({ text: '48213.', complete: true });
  expect(firstSentence(' 48213.')).toEqual({ text: '48213.', complete: false });
  expect(firstSentence(' 3.5 metres\nand')).toEqual({ text: '3.5 metres', complete: true });
});
