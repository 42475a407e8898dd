// What is published: the files, what their names promise, and what tools that read packages say of them.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { parseSync } from 'rolldown/utils';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import { ENTRIES } from './entries.ts';
import { PACKED_LIMIT } from './limits.ts';
import { type Packed, pack } from './packed.ts';
import { allShortNames, stripWgsl } from './strip-wgsl.ts';

let packed: Packed;
let files: string[];
beforeAll(() => {
  packed = pack();
  files = readdirSync(packed.installed, { recursive: true, encoding: 'utf8' }).filter((file) =>
    statSync(join(packed.installed, file)).isFile(),
  );
});
afterAll(() => packed?.remove());

const read = (file: string) => readFileSync(join(packed.installed, file), 'utf8');

test('every entry has its file and its declarations, and nothing else is an entry', () => {
  const { exports } = JSON.parse(read('package.json')) as { exports: Record<string, unknown> };
  const expected = ENTRIES.map((name) => [
    name === 'index' ? '.' : `./${name}`,
    { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` },
  ]);
  expect(exports).toEqual({ ...Object.fromEntries(expected), './package.json': './package.json' });
  for (const name of ENTRIES)
    expect(files).toEqual(expect.arrayContaining([`dist/${name}.js`, `dist/${name}.d.ts`]));
});

test('only what is built is packed, beside the licence, the README and the changelog', () => {
  const others = files.filter((file) => !/^dist\/(chunks\/)?[\w-]+(\.js|\.js\.map|\.d\.ts)$/.test(file));
  expect(others.sort()).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']);
});

test('nothing of others is bundled, so that no licence but ours applies', () => {
  const sources = files
    .filter((file) => file.endsWith('.map'))
    .flatMap((file) => (JSON.parse(read(file)) as { sources: string[] }).sources);
  expect(sources.length).toBeGreaterThan(50);
  expect(sources.filter((source) => !/^(\.\.\/)+(src|patches)\//.test(source))).toEqual([]);
  expect(sources.filter((source) => /\.test\.ts|src\/testing/.test(source))).toEqual([]);
});

test('every WGSL file is there once, stripped', () => {
  const code = files
    .filter((file) => file.endsWith('.js'))
    .map(read)
    .join('\n');
  const folder = join(ROOT, 'wgsl');
  const names = allShortNames();
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((it) =>
    it.endsWith('.wgsl'),
  )) {
    const lines = stripWgsl(readFileSync(join(folder, file), 'utf8'), names).split('\n');
    const longest = lines.reduce((a, b) => (b.length > a.length ? b : a));
    expect(code.split(longest).length - 1, file).toBe(1);
  }
});

test('it is small', () => {
  expect(statSync(packed.file).size).toBeLessThanOrEqual(PACKED_LIMIT);
});

test('sift-attention/register brings nothing of the kernels along', () => {
  const imports = [...read('dist/register.js').matchAll(/from\s*"([^"]+)"|import\s*"([^"]+)"/g)].map(
    ([, from, bare]) => from ?? bare,
  );
  expect(imports).toEqual(['./chunks/register.js']);
  expect(statSync(join(packed.installed, 'dist/chunks/register.js')).size).toBeLessThan(2000);
});

test('what a CDN gives out imports by relative paths alone', () => {
  for (const file of files.filter((name) => name.endsWith('.js'))) {
    const text = read(file);
    const { staticImports, dynamicImports } = parseSync(file, text).module;
    const specifiers = [
      ...staticImports.map(({ moduleRequest }) => moduleRequest.value),
      ...dynamicImports.map(({ moduleRequest: { start, end } }) => text.slice(start + 1, end - 1)),
    ];
    for (const specifier of specifiers) {
      expect(specifier, file).toMatch(/^\.\.?\//);
      expect(existsSync(join(packed.installed, file, '..', specifier)), `${file}: ${specifier}`).toBe(true);
    }
  }
});

test('Node imports every entry, where there is no WebGPU', async () => {
  for (const name of ENTRIES) {
    const file = pathToFileURL(join(packed.installed, `dist/${name}.js`)).href;
    const entry = (await import(/* @vite-ignore */ file)) as { isSupported?(target: object): object };
    if (name === 'index') expect(entry.isSupported?.({})).toMatchObject({ supported: false });
  }
});

test('publint has nothing to say', async () => {
  const tarball = new Uint8Array(readFileSync(packed.file)).buffer;
  const { messages, pkg } = await publint({ pack: { tarball }, strict: true });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

test('the types are right, for all who can import modules', async () => {
  const { problems } = {
    problems: [],
    ...(await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(packed.file))))),
  } as { problems: { kind: string; resolutionKind?: string }[] };
  // The package has modules alone: require() gets them in the versions of Node that can, and TypeScript's oldest resolution knows no exports.
  const others = problems.filter(
    ({ kind, resolutionKind }) => kind !== 'CJSResolvesToESM' && resolutionKind !== 'node10',
  );
  expect(others).toEqual([]);
});
