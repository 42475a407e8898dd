// What an app pays for an import, whichever bundler it is built with.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BUNDLERS } from './bundlers.ts';
import { WEIGHT_LIMITS } from './limits.ts';
import { type Packed, pack } from './packed.ts';

let packed: Packed;
beforeAll(() => {
  packed = pack();
});
afterAll(() => packed?.remove());

/** A project with one file that uses the package. */
function project(name: string, code: string): string {
  const folder = join(packed.folder, name.replace(/\W+/g, '-'));
  mkdirSync(folder);
  writeFileSync(join(folder, 'entry.js'), code);
  return folder;
}

describe.each(Object.entries(BUNDLERS))('%s', (bundler, bundle) => {
  test.each(Object.entries(WEIGHT_LIMITS))('%s is light enough', async (name, { code, limit }) => {
    const { loaded, later } = await bundle(project(`${bundler} ${name}`, code));
    console.log(`${bundler}: ${name}: ${loaded} bytes, ${later} files later`);
    expect(loaded).toBeLessThanOrEqual(limit);
    // What is for web-llm comes when it is needed, and so do the kernels that few options need.
    if (code.includes("'sift-attention'")) expect(later).toBeGreaterThanOrEqual(2);
  });
});
