import { expect, test } from 'vitest';
import { halves, partsOf, sequencesOf, splitDocuments } from './corpus.ts';

test('documents are what lies between separators', () => {
  expect(splitDocuments('a b\n<|endoftext|>\nc\n\nd\n<|endoftext|>\n')).toEqual(['a b', 'c\n\nd']);
});

const document = (length: number, token: number) => Array<number>(length).fill(token);

test('the halves are cut between documents, as equal as these allow', () => {
  const [first, second] = halves({ documents: [document(5, 1), document(6, 2), document(7, 3)] });
  expect([first.tokens.length, second.tokens.length, second.offset]).toEqual([11, 7, 11]);
  expect(new Set(second.tokens)).toEqual(new Set([3]));
  const large = halves({ documents: [document(100, 1), document(10, 2)] });
  expect(large.map(({ tokens }) => tokens.length)).toEqual([100, 10]);
});

test('sequences are spread over each half and never cross into the other', () => {
  const documents = [Array.from({ length: 50 }, (_, i) => i), Array.from({ length: 50 }, (_, i) => 100 + i)];
  const all = sequencesOf(partsOf({ documents }, 'all'), 5, 20);
  expect(all.map(({ half, start }) => [half, start])).toEqual([
    ['first', 0],
    ['first', 15],
    ['first', 30],
    ['second', 50],
    ['second', 80],
  ]);
  for (const { half, tokens } of all) {
    expect(tokens).toHaveLength(20);
    expect(tokens.every((token) => token >= 100 === (half === 'second'))).toBe(true);
  }
  expect(sequencesOf(partsOf({ documents }, 'second'), 1, 50).map(({ start }) => start)).toEqual([50]);
  expect(() => sequencesOf(partsOf({ documents }, 'first'), 1, 51)).toThrow('50 tokens');
});
