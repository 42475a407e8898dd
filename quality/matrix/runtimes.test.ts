import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findRuntimes } from './runtimes.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'runtimes-'));
  const add = (name: string, contents: object) => {
    mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, name, 'package.json'), JSON.stringify(contents));
  };
  const library = (version: string, runtime: string) => ({
    name: '@huggingface/transformers',
    version,
    dependencies: { 'onnxruntime-web': runtime },
  });
  add('a-runtime', { name: 'onnxruntime-web', version: '1.25.0' });
  add('b-library/package', library('4.0.0', '1.25.0'));
  add('c-library', library('4.1.0', '1.26.0'));
  add('d-other', { name: 'other', version: '1.0.0' });
  mkdirSync(join(folder, 'e-empty'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('a runtime comes with the installed library, a library with the runtime that it depends on', () => {
  const [runtime, library, other, ...more] = findRuntimes(folder);
  expect(more).toEqual([]);
  expect(runtime!.versions['onnxruntime-web']).toBe('1.25.0');
  expect(library!.versions).toEqual({ '@huggingface/transformers': '4.0.0', 'onnxruntime-web': '1.25.0' });
  // The folder has not what this one depends on: the installed one stands in.
  expect(other!.versions['@huggingface/transformers']).toBe('4.1.0');
  expect(other!.versions['onnxruntime-web']).not.toBe('1.25.0');
  const resolveId = library!.plugins[0]!.resolveId as (source: string) => string | undefined;
  expect(resolveId('onnxruntime-web/webgpu')).toContain(join(folder, 'a-runtime', 'dist'));
  expect(resolveId('@huggingface/transformers')).toContain(join(folder, 'b-library', 'package', 'dist'));
  expect(resolveId('vite')).toBeUndefined();
});

test('a folder without either is told', () => {
  expect(() => findRuntimes(join(folder, 'e-empty'))).toThrow('no unpacked package');
});
