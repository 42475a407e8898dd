import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { env } from '@huggingface/transformers';
import { ROOT } from '../../lab/root.ts';
import { ModelBrowser } from './browser.ts';
import { DTYPES, type Dtype } from './llama.ts';
import { type Device, loadModel, type MeasureOptions, type Measures, measure } from './measure.ts';

const DEVICES: readonly Device[] = ['cpu', 'wasm', 'webgpu'];

const USAGE = `usage: evaluate.ts MODEL_DIR [--dtype ${DTYPES.join('|')}] [--device ${DEVICES.join('|')}]
  [--text FILE] [--windows N] [--needles N] [--needle-length TOKENS]
Device cpu runs in Node; webgpu (default) and wasm run in a browser (CHROME_PATH, or one that is found).`;

async function evaluate(
  folder: string,
  dtype: Dtype,
  device: Device,
  text: string,
  options: MeasureOptions,
): Promise<Measures & { adapter?: string }> {
  if (device === 'cpu') {
    env.allowRemoteModels = false;
    env.localModelPath = dirname(resolve(folder));
    const loaded = await loadModel(basename(resolve(folder)), dtype, device);
    return measure(loaded, text, options);
  }
  const browser = await ModelBrowser.start();
  try {
    const measures = await browser.measure({ folder, dtype, device }, text, options);
    return device === 'webgpu' ? { ...measures, adapter: await browser.adapter() } : measures;
  } finally {
    await browser.close();
  }
}

/** The named value of a list, or an error that says what the list holds. */
function oneOf<T extends string>(list: readonly T[], option: string, value: string): T {
  const found = list.find((item) => item === value);
  if (!found) throw new Error(`--${option}: ${value} is none of ${list.join(', ')}`);
  return found;
}

function count(option: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0) throw new Error(`--${option}: ${value} is no count`);
  return number;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    dtype: { type: 'string', default: 'q4' },
    device: { type: 'string', default: 'webgpu' },
    text: { type: 'string', default: join(ROOT, 'models/text/excerpt.txt') },
    windows: { type: 'string', default: '8' },
    needles: { type: 'string', default: '3' },
    'needle-length': { type: 'string', default: '1024' },
  },
});
const [folder] = positionals;
if (!folder || positionals.length > 1 || !existsSync(join(folder, 'config.json'))) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  const dtype = oneOf(DTYPES, 'dtype', values.dtype);
  const device = oneOf(DEVICES, 'device', values.device);
  const started = performance.now();
  const measures = await evaluate(folder, dtype, device, readFileSync(values.text, 'utf8'), {
    windows: count('windows', values.windows),
    windowLength: 1024,
    needles: count('needles', values.needles),
    needleLength: count('needle-length', values['needle-length']),
  });
  const seconds = (performance.now() - started) / 1000;
  console.log(JSON.stringify({ folder, dtype, device, ...measures, seconds: Math.round(seconds) }));
}
