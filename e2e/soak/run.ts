// npm run soak -- --steps 20000 --minutes 3
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import type { Quality } from '../../src/index.ts';
import { QUALITIES } from '../../src/policy/index.ts';
import { someText } from '../text.ts';
import { soak, violations } from './soak.ts';

const { values } = parseArgs({
  options: {
    /** A folder of a converted model, and the type of its weights. */
    model: { type: 'string', default: 'models/tiny' },
    dtype: { type: 'string', default: 'q4' },
    quality: { type: 'string', default: 'balanced' },
    steps: { type: 'string', default: '20000' },
    minutes: { type: 'string', default: 'Infinity' },
    /** Tokens of the longest prompt, and new tokens of a turn at most. */
    prompt: { type: 'string', default: '512' },
    count: { type: 'string', default: '128' },
    /** Every how manieth conversation is done again in a fresh page. */
    again: { type: 'string', default: '10' },
    /** Results. */
    json: { type: 'string' },
  },
});
const number = (name: 'steps' | 'minutes' | 'prompt' | 'count' | 'again'): number => {
  const value = Number(values[name]);
  if (!(value > 0)) throw new Error(`--${name} is "${values[name]}"; it is a number above 0.`);
  return value;
};
const { model, dtype, quality, json } = values;
if (!(QUALITIES as readonly string[]).includes(quality))
  throw new Error(`--quality is "${quality}"; it is one of ${QUALITIES.join(', ')}.`);
const settings = {
  ...{ dtype, quality: quality as Quality, steps: number('steps'), minutes: number('minutes') },
  ...{ prompt: number('prompt'), count: number('count'), again: number('again') },
};
const began = performance.now();
const result = await soak({ ...settings, model, text: someText() }, (message) =>
  console.log(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s  ${message}`),
);
const found = violations(result);
if (json)
  writeFileSync(
    json,
    `${JSON.stringify({ date: new Date().toISOString(), model: basename(model), ...settings, found, ...result }, null, 1)}\n`,
  );
console.log(found.length === 0 ? 'Nothing grew, and no token changed.' : found.join('\n'));
process.exit(found.length === 0 ? 0 : 1);
