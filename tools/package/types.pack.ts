// The declarations, as TypeScript reads them in projects that check the libraries that they use.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import { type Packed, pack } from './packed.ts';

const COMPILERS = ['typescript-5.4', 'typescript'];

const RESOLUTIONS = [
  ['esnext', 'bundler'],
  ['node16', 'node16'],
  ['nodenext', 'nodenext'],
] as const;

const USE = `
import { createSiftAttention as alsoHere, enableSift, isSupported, SiftError, type SiftReport } from 'sift-attention';
import { createSiftAttention, type SiftAttention, type SiftAttentionOptions } from 'sift-attention/kernel';
import { enableSift as onTransformers } from 'sift-attention/transformers';
import { enableSift as onWebLlm } from 'sift-attention/web-llm';
import 'sift-attention/register';
declare const generator: { model: { sessions: object; forward(inputs: object): void; generate(): void } };
declare const engine: { reload(id: string): Promise<void>; interruptGenerate(): void };
export async function run(quality: 'high' | undefined): Promise<SiftReport> {
  const sift = await enableSift(generator, { quality, device: undefined });
  await onTransformers(generator, { quality });
  await onWebLlm(engine);
  if (!isSupported(engine).supported) throw new SiftError('NO_WEBGPU', 'There is none.');
  // @ts-expect-error wrong value
  await enableSift(generator, { quality: 'best' });
  return sift.report();
}
const options: SiftAttentionOptions = { layers: undefined };
export const make: (device: GPUDevice) => Promise<SiftAttention> = (device) =>
  createSiftAttention(device, { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f32' }, options);
export const same: typeof createSiftAttention = alsoHere;
`;

let packed: Packed;
beforeAll(() => {
  packed = pack();
  const modules = join(packed.folder, 'node_modules');
  mkdirSync(join(modules, '@webgpu'));
  cpSync(join(ROOT, 'node_modules/@webgpu/types'), join(modules, '@webgpu/types'), {
    recursive: true,
    dereference: true,
  });
  writeFileSync(join(packed.folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(packed.folder, 'use.ts'), USE);
});
afterAll(() => packed?.remove());

/** What a compiler says of the project. */
async function complaints(compiler: string, name: string, options: object): Promise<string> {
  const file = join(packed.folder, `tsconfig.${name}.json`);
  const compilerOptions = {
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    target: 'es2022',
    lib: ['es2022', 'dom', 'dom.iterable'],
    ...options,
  };
  writeFileSync(file, JSON.stringify({ compilerOptions, files: ['use.ts'] }));
  const root = dirname(createRequire(import.meta.url).resolve(`${compiler}/package.json`));
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, 'bin/tsc'), '-p', file], (error, stdout, stderr) =>
      resolve(error ? stdout + stderr || String(error) : ''),
    );
  });
}

describe.each(COMPILERS)('%s', (compiler) => {
  test.each(RESOLUTIONS)('module %s, resolution %s', async (module, moduleResolution) => {
    expect(await complaints(compiler, `${compiler}-${module}`, { module, moduleResolution, types: [] })).toBe(
      '',
    );
  });
});

test('beside @webgpu/types, which projects on older compilers have', async () => {
  const options = { module: 'esnext', moduleResolution: 'bundler', types: ['@webgpu/types'] };
  expect(await complaints('typescript-5.4', 'webgpu', options)).toBe('');
});
