import { expect, test } from 'vitest';
import { codeAskedFor, codesIn, looksLikeCode } from './codes.ts';

const TEXT =
  'It rained. The access code for the silent harbor is 48213. Remember it. Note that the number of the golden river is 90417. The key to the old mill is 11111. The access code for the silent harbor is 48213. The price of the old mill is 22222.';

test('the codes of a text are found, each once, and where they stand', () => {
  expect(codesIn(TEXT).map(({ question, value }) => [question, value])).toEqual([
    ['What is the access code for the silent harbor?', '48213'],
    ['What is the number of the golden river?', '90417'],
    ['What is the key to the old mill?', '11111'],
  ]);
  expect(TEXT.slice(0, codesIn(TEXT)[0]!.end)).toMatch(/is 48213$/);
});

test('a question is put in the form that the model was trained on', () => {
  const after = (question: string) => codeAskedFor(question, TEXT)!.frame.after;
  expect(after('What is the access code for the silent harbor?')).toBe(
    '\n\nQuestion: What is the access code for the silent harbor?\nAnswer: The access code for the silent harbor is',
  );
  expect(after('the number of the golden river')).toBe(
    '\n\nQuestion: What is the number of the golden river?\nAnswer: The number of the golden river is',
  );
  expect(after('What is the key to the old mill?')).toBe(
    '\n\nWhat is the key to the old mill? The key to the old mill is',
  );
});

test('a question asks for a code if it names the thing, in any words', () => {
  expect(codeAskedFor('Find the code of the Silent  Harbor on this page', TEXT)?.value).toBe('48213');
  expect(codeAskedFor('Who wrote this?', TEXT)).toBeUndefined();
  expect(codeAskedFor('What is the access code for the north gate?', TEXT)).toBeUndefined();
  // A thing may have two codes: the question in full words says which.
  const two = `${TEXT} The key to the silent harbor is 33333.`;
  expect(codeAskedFor('what is the key to the silent harbor?', two)?.value).toBe('33333');
});

test('what is no beginning of a code is not shown', () => {
  for (const answer of ['', '4', '48213', '48213.']) expect(looksLikeCode(answer), answer).toBe(true);
  for (const answer of ['the', '48213 and', '482135', '48a'])
    expect(looksLikeCode(answer), answer).toBe(false);
});
