import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { filledModels } from './docs.ts';

test('docs/models.md has the table that the results give (npm run matrix -- --docs quality/results/models.json)', () => {
  const document = readFileSync('docs/models.md', 'utf8');
  expect(filledModels(readFileSync('quality/results/models.json', 'utf8')) === document).toBe(true);
  expect(document).toContain('| llama (Llama, q4) |');
});
