import { expect, test } from 'vitest';
import { documents, prose } from './clean.ts';

const LONG =
  'Es war einmal ein König, der hatte drei Töchter, und die jüngste war so schön, dass sich alle verwunderten. ';

test('prose is the paragraphs of running text, without tables and short lines', () => {
  const text = `1.2. Titel\n\n    ${LONG}\n    ${LONG}\n\n    |a  |b  |\n    |---+---|\n\n    $ ls -l /usr /bin | wc\n\n${LONG.repeat(2)}`;
  const line = `${LONG}${LONG}`.trim();
  expect(prose(text)).toBe(`${line}\n\n${line}`);
});

test('a text is cut into documents of about one size, where paragraphs end; none is lost', () => {
  const text = Array.from({ length: 9 }, (_, i) => `${i} ${LONG}`).join('\n\n');
  const found = documents(text, 3);
  expect(found).toHaveLength(3);
  expect(found.join('\n\n')).toBe(text);
  for (const document of found) expect(document.length / text.length).toBeCloseTo(1 / 3, 0);
  expect(documents('one paragraph', 4)).toEqual(['one paragraph']);
});
