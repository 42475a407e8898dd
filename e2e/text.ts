import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../lab/root.ts';

/** A stretch of text that the models were not trained on (models/text). */
export function someText(): string {
  const folder = join(ROOT, 'models/text');
  const name = readdirSync(folder).find((file) => file.endsWith('.txt'));
  if (!name) throw new Error('models/text holds no text.');
  return readFileSync(join(folder, name), 'utf8');
}
