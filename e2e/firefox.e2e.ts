// The plugin in Firefox, whose WebGPU is another than Chromium's, and which on many machines has no subgroups.
import puppeteer, { type Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { presetPolicy, withExactKeys } from '../src/policy/index.ts';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { findFirefox, firefoxOptions } from '../tools/setup/firefox.mjs';
import { type PlainSite, servePlain } from './plain-site.ts';

const LIBRARY = '/node_modules/@huggingface/transformers/dist';
const PROMPT = 400;
const NEW_TOKENS = 12;

const MODES = {
  exact: { quality: 'exact', siftFrom: 0 },
  balanced: { siftFrom: 0 },
};
/** They take as long again, and run with `SIFT_NIGHTLY=1`. */
const NIGHTLY_MODES = {
  paper: { mode: 'paper', warmup: 3, tau: 0.5, siftFrom: 0 },
  shadow: { keys: 'shadow', siftFrom: 0 },
  withoutShadow: { policy: withExactKeys(presetPolicy('balanced', 'shadow')), siftFrom: 0 },
  auto: {},
};
const nightly = process.env.SIFT_NIGHTLY === '1';

/** The runtime's WebAssembly is in the package, and nothing is bundled. */
const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
  import '/dist/register.js';
  import * as library from '${LIBRARY}/transformers.js';
  import { enableSift } from '/dist/index.js';
  import { modes } from '/e2e/page/modes.js';
  library.env.backends.onnx.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
  const all = ${JSON.stringify({ ...MODES, ...(nightly && NIGHTLY_MODES) })};
  window.result = await modes(library, enableSift, all, ${PROMPT}, ${NEW_TOKENS}).catch(({ code, message, stack }) => ({ code, message, stack }));
</script>`;

describe.skipIf(!findFirefox())('in Firefox', () => {
  let site: PlainSite;
  let browser: Browser;
  let found: Record<string, unknown>;

  beforeAll(async () => {
    site = await servePlain({ 'firefox.html': PAGE }, { plain: smallDecoder() });
    browser = await puppeteer.launch(firefoxOptions());
    const page = await browser.newPage();
    await page.goto(`${site.url}firefox.html`);
    await page.waitForFunction(() => 'result' in window, { timeout: 0 });
    found = (await page.evaluate(() => (window as never as { result: never }).result)) as typeof found;
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  const served = { same: true, layers: 2, cache: 'shared' };

  test('exact: the tokens of stock', () => {
    expect(found.exact).toMatchObject({
      ...served,
      steps: { sifted: 0, dense: NEW_TOKENS - 1 },
      keptGroup: null,
    });
  });

  test('the default: few V rows are read, by kernels that need no subgroups', () => {
    expect(found.balanced).toMatchObject({ ...served, steps: { sifted: NEW_TOKENS - 1, dense: 0 } });
    // As in Chromium on the same model.
    expect((found.balanced as { keptGroup: number }).keptGroup).toBeCloseTo(0.147, 2);
  });

  test.runIf(nightly)("the paper's mode learns, and then sifts", () => {
    expect(found.paper).toMatchObject({
      layers: 2,
      cache: 'shared',
      steps: { sifted: NEW_TOKENS - 4, dense: 3 },
    });
  });

  test.runIf(nightly)('where there is no shadow, the same policy goes on with all of K', () => {
    expect(found.shadow).toEqual(found.withoutShadow);
  });

  test.runIf(nightly)('from a length that is measured', () => {
    // Whether steps sift depends on what the machine measures. Every step is served.
    const { steps, ...others } = found.auto as { steps: { sifted: number; dense: number } };
    expect(others).toMatchObject(served);
    expect(steps.sifted + steps.dense).toBe(NEW_TOKENS - 1);
  });

  test('afterwards the model works as before', () => {
    expect(found.stockAgain).toBe(true);
  });
});
