import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { filledModels } from './docs.ts';

const RESULTS = 'quality/results';
const files = readdirSync(RESULTS).filter((name) => /^models.*\.json$/.test(name));

test.each(files)('docs/models.md has the table that %s gives (npm run matrix -- --docs FILE)', (name) => {
  const document = readFileSync('docs/models.md', 'utf8');
  expect(filledModels(join(RESULTS, name)) === document).toBe(true);
});

test('docs/models.md has a row of the software adapter for each form of attention', () => {
  expect(files).toContain('models.json');
  expect(readFileSync('docs/models.md', 'utf8')).toContain('| llama (Llama, q4) |');
});

test('results for which the document has no place are not left out in silence', () => {
  const folder = mkdtempSync(join(tmpdir(), 'matrix-'));
  try {
    writeFileSync(join(folder, 'elsewhere.json'), readFileSync(join(RESULTS, 'models.json')));
    expect(() => filledModels(join(folder, 'elsewhere.json'))).toThrow('no marker "elsewhere"');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
