// Runs the demo on a long document with a model of Llama-3.2-1B's shape and random weights, which it takes for one of the hub, and holds
// its times against those of bench:browser: `npx tsx bench/browser/demo.ts --text FILE --against RESULTS --json FILE`. With SIFT_GPU=1 on
// a GPU.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { recordedSession } from '../../examples/demo/recorded-session.ts';
import { openServedPage } from '../../lab/browser.ts';
import { startHub, withChat } from '../../lab/hub.ts';
import { randomModel, type ShapeName } from '../../lab/random-model/index.ts';
import { ROOT } from '../../lab/root.ts';
import { parseBench } from './format.ts';

const { values: options } = parseArgs({
  options: {
    /** A text of at least as many tokens. */
    text: { type: 'string' },
    tokens: { type: 'string', default: '32768' },
    shape: { type: 'string', default: 'llama-3.2-1b' },
    dtype: { type: 'string', default: 'q4f16' },
    /** What the page calls the model in whose place the random one comes, and its id on the hub. */
    label: { type: 'string', default: 'Llama 3.2 1B Instruct' },
    id: { type: 'string', default: 'onnx-community/Llama-3.2-1B-Instruct-ONNX' },
    /** Results of bench:browser on the same machine. */
    against: { type: 'string' },
    json: { type: 'string' },
    /** A picture of the page at the end. */
    shot: { type: 'string' },
  },
});
const text = options.text;
if (!text) throw new Error('--text FILE names the document.');

const tokenizer = readFileSync(join(ROOT, 'models/tiny/tokenizer.json'), 'utf8');
const model = randomModel(options.shape as ShapeName, { dtype: options.dtype as 'q4f16', tokenizer });
const hub = await startHub(new Map([[options.id, withChat(model)]]));
const config = {
  configFile: join(ROOT, 'examples/demo/vite.config.ts'),
  server: { port: 0, open: false, watch: null },
};
const { page, close } = await openServedPage(
  '/',
  config,
  (page) => {
    page.setDefaultTimeout(0);
    page.on('pageerror', (error) => console.error(`page: ${error.message}`));
    page.on('crash', () => console.error('The page crashed.'));
  },
  hub.args,
);
try {
  await page.waitForSelector('html[data-state=ready]');
  await page.locator('#file').setInputFiles(text);
  const { events } = await recordedSession(page, {
    model: options.label,
    tokens: Number(options.tokens),
    say: console.log,
  });
  if (options.shot) await page.screenshot({ path: options.shot });
  const found = events.findLast((event) => event.kind === 'compared')?.comparison;
  const said = events.flatMap((event) =>
    event.kind === 'say' && event.milliseconds ? [event.milliseconds] : [],
  );
  const begun = events.find((event) => event.kind === 'begin');
  if (!found || !begun) throw new Error('The page did not compare.');
  const demo = {
    gpu: await page.locator('#gpu').textContent(),
    model: options.shape,
    dtype: options.dtype,
    promptTokens: begun.tokens.length,
    stockMs: found.stock.millisecondsPerToken,
    siftMs: found.sift.millisecondsPerToken,
    /** While the page shows which rows each step reads. */
    inspectedMs: said.sort((a, b) => a - b)[said.length >> 1],
    steps: found.steps,
    firstDifference: found.firstDifference,
    divergence: found.divergence,
  };
  console.log(JSON.stringify(demo, null, 1));
  const against = options.against ? benched(options.against) : undefined;
  if (against) console.log(`bench:browser has ${JSON.stringify(against)}`);
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ ...demo, against }, null, 1)}\n`);
} finally {
  await close();
  await hub.close();
}

/** Milliseconds a token of stock and of the default at that length, as bench:browser found them. */
function benched(path: string): Record<string, number> {
  const { rows } = parseBench(readFileSync(path, 'utf8'));
  const ofLength = rows.filter(
    ({ model, context }) => model === options.shape && context === Number(options.tokens),
  );
  return Object.fromEntries(ofLength.map(({ variant, msMedian }) => [variant, msMedian]));
}
