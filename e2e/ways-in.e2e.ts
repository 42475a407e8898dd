// The ways in which users reach a model: by URL instead of by a bundler, with two copies of the library, in workers of each kind.
import type { Browser, Page } from 'playwright';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launchBrowser } from '../lab/browser.ts';
import { ROOT } from '../lab/root.ts';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { type PlainSite, servePlain } from './plain-site.ts';
import { pluginPage } from './plugin-page.ts';

const models = { plain: smallDecoder(), 'too-short': smallDecoder({ positions: 3 }) };

const SERVED = {
  same: true,
  steps: { sifted: 0, dense: 4 },
  layers: 2,
  firstDifference: null,
  tested: true,
  crossover: 'given',
};

const LIBRARY = '/node_modules/@huggingface/transformers/dist';
const IMPORT_MAP = JSON.stringify({
  imports: {
    'onnxruntime-web/webgpu': '/node_modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs',
    'onnxruntime-common': '/node_modules/onnxruntime-common/dist/esm/index.js',
  },
});

/** The second copy of the library is one file, as a CDN has it. */
const TWO_COPIES = `<!doctype html><link rel="icon" href="data:,"><script type="importmap">${IMPORT_MAP}</script><script type="module">
  import * as first from '${LIBRARY}/transformers.web.js';
  import * as second from '${LIBRARY}/transformers.js';
  import { enableSift } from '/dist/index.js';
  import { decode } from '/e2e/page/decode.js';
  for (const { env } of [first, second]) env.backends.onnx.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
  window.result = [await decode(first, enableSift), await decode(second, enableSift)];
</script>`;

/** Sift is enabled after a generation, and then on a second model, whose programs the first had compiled. */
const latePage = (register: string) => `<!doctype html><link rel="icon" href="data:,"><script type="module">
  ${register}
  import * as library from '${LIBRARY}/transformers.js';
  import { enableSift } from '/dist/index.js';
  import { decode } from '/e2e/page/decode.js';
  library.env.backends.onnx.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
  const outcome = () => decode(library, enableSift, true).catch(({ code, message }) => ({ code, message }));
  window.result = [await outcome(), await outcome()];
</script>`;

/** The page measures, and then has a worker do the same. The policy keeps every row, so that one measurement settles the record. */
const WORKER_PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
  import * as library from '${LIBRARY}/transformers.js';
  import { enableSift } from '/dist/index.js';
  import { decode } from '/e2e/page/decode.js';
  library.env.backends.onnx.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
  const own = await decode(library, enableSift, false, 'auto').catch(String);
  const worker = new Worker('/worker.js', { type: 'module' });
  worker.onmessage = ({ data }) => { window.result = [own, data]; };
</script>`;
const WORKER = `
  import * as library from '${LIBRARY}/transformers.js';
  import { enableSift } from '/dist/index.js';
  import { decode } from '/e2e/page/decode.js';
  library.env.backends.onnx.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
  postMessage(await decode(library, enableSift, false, 'auto').catch(String));
`;

const SERVICE_PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
  addEventListener('unhandledrejection', ({ reason }) => { window.result = String(reason); });
  await navigator.serviceWorker.register('/service-worker.js', { type: 'module' });
  const { active } = await navigator.serviceWorker.ready;
  navigator.serviceWorker.onmessage = ({ data }) => { window.result = data; };
  active.postMessage('decode');
</script>`;
/** A file and all that it imports as one, the way a bundler makes a worker. */
async function bundle(file: string): Promise<string> {
  const result = await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    resolve: { alias: { 'sift-attention': `${ROOT}/dist/index.js` } },
    build: {
      write: false,
      target: 'es2022',
      minify: false,
      rolldownOptions: { input: `${ROOT}/${file}`, output: { codeSplitting: false } },
    },
  });
  if (!('output' in result)) throw new Error('The worker was not built once.');
  return result.output[0].code;
}

describe('without a bundler, and in workers', () => {
  let site: PlainSite;
  let browser: Browser;
  beforeAll(async () => {
    site = await servePlain(
      {
        'two-copies.html': TWO_COPIES,
        'late.html': latePage(''),
        'registered.html': latePage("import '/dist/register.js';"),
        'worker.html': WORKER_PAGE,
        'worker.js': WORKER,
        'service-worker.html': SERVICE_PAGE,
        'service-worker.js': await bundle('e2e/page/service-worker.js'),
      },
      models,
    );
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  async function resultOf(path: string): Promise<unknown> {
    const page: Page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    await page.goto(site.url + path);
    await page
      .waitForFunction(() => 'result' in window, undefined, { timeout: 240_000 })
      .catch((error) => {
        throw new Error(`${error.message}; page errors: ${errors.join('; ')}`);
      });
    const result = await page.evaluate(() => (window as unknown as { result: unknown }).result);
    await page.close();
    return result;
  }

  test('two copies of transformers.js in a page, one of them by its URL', async () => {
    expect(await resultOf('two-copies.html')).toEqual([SERVED, SERVED]);
  });

  test('after a generation, where the programs were noted; without that, the error names the line to write', async () => {
    expect(await resultOf('registered.html')).toEqual([SERVED, SERVED]);
    const late = {
      code: 'LATE_ENABLE',
      message: expect.stringContaining("`import 'sift-attention/register'`"),
    };
    expect(await resultOf('late.html')).toEqual([late, late]);
  });

  test('a worker that imports by URL; it finds what its page has measured', async () => {
    expect(await resultOf('worker.html')).toEqual([
      { ...SERVED, crossover: 'measured' },
      { ...SERVED, crossover: 'remembered' },
    ]);
  });

  test('a service worker, where no module can be imported later', async () => {
    expect(await resultOf('service-worker.html')).toEqual(SERVED);
  });
});

describe('what enableSift takes', () => {
  const session = pluginPage('', models);

  test('a pipeline, its model, or an object that has the model; what was proved on it is not proved again', async () => {
    const result = await session.page.evaluate(async () => {
      const { loadSmall, enableSift, generate } = window.sift;
      const generator = await loadSmall('plain');
      const { model, tokenizer } = generator;
      const session = (model as unknown as { sessions: { model: { run(...args: unknown[]): unknown } } })
        .sessions.model;
      let runs = 0;
      const run = session.run.bind(session);
      session.run = (...args) => {
        runs++;
        return run(...args);
      };
      const found: object[] = [];
      const exact = { quality: 'exact', siftFrom: 0 } as const;
      for (const [target, options] of [
        [generator, exact],
        [model, exact],
        [
          { model, tokenizer },
          { ...exact, cache: 'stock' },
        ],
        [{ model, processor: { tokenizer } }, { siftFrom: 0 }],
      ]) {
        runs = 0;
        const sift = await enableSift(target as never, options as never);
        const enabling = runs;
        await generate(generator, [30, 31, 32, 33], 3);
        const { steps, cache } = await sift.report();
        found.push({ enabling, steps: steps.dense + steps.sifted, cache: cache.kind });
        sift.dispose();
      }
      await generator.dispose();
      const gone = await window.sift.failure(() => enableSift(generator, exact));
      return { found, gone: gone.code };
    });
    expect(result.found).toEqual([
      // A prompt and a step; two steps on that prompt; and as much on the shared cache.
      { enabling: 7, steps: 2, cache: 'shared' },
      // One token, to see that the session still works.
      { enabling: 1, steps: 2, cache: 'shared' },
      // Without the shared cache it was not proved before.
      { enabling: 4, steps: 2, cache: 'stock' },
      { enabling: 1, steps: 2, cache: 'shared' },
    ]);
    expect(result.gone).toBe('UNSUPPORTED_MODEL');
  });

  test('where nothing can be gained: an error, or on demand a sift that is off and says why', async () => {
    const result = await session.page.evaluate(async () => {
      const { loadSmall, enableSift, failure, generate, isSupported } = window.sift;
      const generator = await loadSmall('too-short');
      const error = await failure(() => enableSift(generator));
      const sift = await enableSift(generator, { onUnsupported: 'ignore' });
      const tokens = await generate(generator, [30], 2);
      const off = { enabled: sift.enabled, unsupported: sift.unsupported?.code, report: await sift.report() };
      sift.dispose();
      const supported = isSupported(generator);
      await generator.dispose();
      const encoderDecoder = {
        forward() {},
        generate() {},
        sessions: {},
        config: { is_encoder_decoder: true },
      };
      const refused = await failure(() => enableSift(encoderDecoder as never));
      return {
        error,
        off,
        tokens: tokens.length,
        supported,
        refused,
        asked: isSupported(encoderDecoder as never),
      };
    });
    expect(result.error.code).toBe('UNSUPPORTED_MODEL');
    expect(result.off).toMatchObject({ enabled: false, unsupported: 'UNSUPPORTED_MODEL' });
    expect(result.tokens).toBe(2);
    expect(result.supported).toEqual({ supported: true, reason: null });
    expect(result.refused).toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining('encoder-decoder'),
    });
    expect(result.asked).toMatchObject({
      supported: false,
      reason: expect.stringContaining('encoder-decoder'),
    });
  });

  test('a device that is none, or another, is refused by name', async () => {
    const result = await session.page.evaluate(async () => {
      const { loadSmall, enableSift, failure } = window.sift;
      const generator = await loadSmall('plain');
      const other = await (await navigator.gpu.requestAdapter())!.requestDevice();
      const none = await failure(() => enableSift(generator, { device: {} as GPUDevice }));
      const wrong = await failure(() => enableSift(generator, { device: other }));
      other.destroy();
      await generator.dispose();
      return { none, wrong };
    });
    expect(result.none).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('`device`'),
    });
    expect(result.wrong).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('which is another'),
    });
  });
});
