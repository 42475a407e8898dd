import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import { filledDocument } from './record.ts';

test('the table of docs/trust.md is that of docs/trust.json', () => {
  expect(readFileSync(join(ROOT, 'docs/trust.md'), 'utf8')).toBe(filledDocument());
});
