// The packed file, installed into new projects of the kinds that users have, each run in Chromium on a small model.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import * as esbuild from 'esbuild';
import type { Browser } from 'playwright';
import * as vite from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import webpack from 'webpack';
import { type PlainSite, servePlain } from '../../e2e/plain-site.ts';
import { launchBrowser } from '../../lab/browser.ts';
import { ROOT } from '../../lab/root.ts';
import { smallDecoder } from '../models/small-decoder.ts';
import { type Packed, pack } from './packed.ts';

const SERVED = {
  ...{ same: true, steps: { sifted: 0, dense: 4 }, layers: 2, firstDifference: null },
  ...{ tested: true, crossover: 'given' },
};

/** A module that runs the model with sift; `answer` is what it does with what came of it. */
const main = (answer: string) => `
import * as library from '@huggingface/transformers';
import { enableSift } from 'sift-attention';
import { decode } from './decode.js';
library.env.backends.onnx.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
const answer = ${answer};
decode(library, enableSift).then(answer, (error) => answer(String(error)));
`;
const IN_PAGE = main('(result) => { globalThis.result = result; }');
const IN_WORKER = main('(result) => postMessage(result)');

const page = (head: string) => `<!doctype html><link rel="icon" href="data:,">${head}`;
const START_WORKER = `<script type="module">
  const worker = new Worker(new URL('./worker.js', location.href), { type: 'module' });
  worker.onmessage = ({ data }) => { window.result = data; };
</script>`;

let packed: Packed;
let site: PlainSite;
let cdn: PlainSite;
let browser: Browser;
beforeAll(async () => {
  packed = pack();
  site = await servePlain({}, { plain: smallDecoder() });
  cdn = await servePlain({}, {}, { 'access-control-allow-origin': '*' });
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  site?.close();
  cdn?.close();
  packed?.remove();
});

/** A new project, in which the packed file is installed, and transformers.js as this repository has it. */
function project(name: string, files: Record<string, string>): string {
  const folder = join(packed.folder, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', `../${basename(packed.file)}`], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  mkdirSync(join(folder, 'node_modules/@huggingface'));
  const library = '@huggingface/transformers';
  symlinkSync(join(ROOT, 'node_modules', library), join(folder, 'node_modules', library), 'junction');
  cpSync(join(ROOT, 'e2e/page/decode.js'), join(folder, 'decode.js'));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  return folder;
}

/** What the page at a file says. */
async function resultOf(file: string): Promise<unknown> {
  const tab = await browser.newPage();
  const errors: string[] = [];
  tab.on('pageerror', (error) => errors.push(error.message));
  tab.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await tab.goto(site.url + relative(ROOT, file));
  await tab
    .waitForFunction(() => 'result' in window, undefined, { timeout: 240_000 })
    .catch((error) => {
      throw new Error(`${error.message}; page errors: ${errors.join('; ')}`);
    });
  const result = await tab.evaluate(() => (window as unknown as { result: unknown }).result);
  await tab.close();
  return result;
}

test('a page built by Vite', async () => {
  const folder = project('vite', {
    'main.js': IN_PAGE,
    'index.html': page('<script type="module" src="./main.js"></script>'),
  });
  await vite.build({
    root: folder,
    configFile: false,
    base: './',
    logLevel: 'error',
    build: { target: 'es2022' },
  });
  expect(await resultOf(join(folder, 'dist/index.html'))).toEqual(SERVED);
});

test('a worker built by esbuild', async () => {
  const folder = project('esbuild', { 'main.js': IN_WORKER, 'index.html': page(START_WORKER) });
  await esbuild.build({
    absWorkingDir: folder,
    entryPoints: ['main.js'],
    bundle: true,
    minify: true,
    format: 'esm',
    outfile: 'worker.js',
    logLevel: 'error',
  });
  expect(await resultOf(join(folder, 'index.html'))).toEqual(SERVED);
});

test('a page built by webpack', async () => {
  const folder = project('webpack', {
    'main.js': IN_PAGE,
    'index.html': page('<script src="out/main.js"></script>'),
  });
  const compiler = webpack({
    context: folder,
    mode: 'production',
    entry: './main.js',
    output: { path: join(folder, 'out') },
    performance: false,
  });
  await new Promise<void>((resolve, reject) => {
    compiler.run((error, stats) => {
      if (error || stats?.hasErrors()) return reject(error ?? new Error(stats?.toString('errors-only')));
      resolve();
    });
  });
  expect(await resultOf(join(folder, 'index.html'))).toEqual(SERVED);
});

test('plain HTML whose import map names a CDN', async () => {
  const folder = project('plain', {});
  const from = (file: string) => cdn.url + relative(ROOT, file);
  const library = join(ROOT, 'node_modules/@huggingface/transformers/dist/transformers.js');
  const imports = {
    'sift-attention': from(join(folder, 'node_modules/sift-attention/dist/index.js')),
    '@huggingface/transformers': from(library),
  };
  const map = `<script type="importmap">${JSON.stringify({ imports })}</script>`;
  writeFileSync(join(folder, 'index.html'), page(`${map}<script type="module">${IN_PAGE}</script>`));
  expect(await resultOf(join(folder, 'index.html'))).toEqual(SERVED);
});

test('Node, which imports it and says why it does not work there', () => {
  const folder = project('node', {
    'main.js': `
      import { enableSift, isSupported } from 'sift-attention';
      import 'sift-attention/register';
      import { createSiftAttention } from 'sift-attention/kernel';
      const refused = await enableSift({ model: {} }).catch(({ code }) => code);
      console.log(JSON.stringify([isSupported({}).supported, refused, typeof createSiftAttention]));`,
  });
  const output = execFileSync(process.execPath, ['main.js'], { cwd: folder, encoding: 'utf8' });
  const [supported, refused, kernel] = JSON.parse(output) as [boolean, string, string];
  expect([supported, kernel]).toEqual([false, 'function']);
  expect(['NO_WEBGPU', 'INVALID_OPTION']).toContain(refused);
});
