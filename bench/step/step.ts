// A whole decode step of a decoder, as transformers.js runs it, and what each part of the plugin gains: npm run bench -- --step
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { runtimeDevice } from '../../lab/decoding/decoder.ts';
import { SessionDecoder } from '../../lab/decoding/session-decoder.ts';
import { markdownTable } from '../../lab/markdown.ts';
import { copySharedWrites } from '../../lab/node/shared-memory.ts';
import { enableSift } from '../../src/index.ts';
import { describeDevice, loadRuntime, startGpu } from '../timing/device.ts';
import { summarise, type Timing } from '../timing/timing.ts';
import { type StepModel, syntheticDecoder } from './step-model.ts';
import {
  createPast,
  runVariant,
  STEP_VARIANTS,
  type StepFigures,
  type StepVariant,
} from './step-variants.ts';

const USAGE = `usage: run.mjs --step [options]
  --lengths LIST   keys in the cache                     [2048,8192,32768]
  --layers N       layers of the decoder                 [4]
  --heads N        query heads                           [32]
  --kv-heads N     KV heads                              [8]
  --head-size N    elements of a row                     [64]
  --hidden N       width of the residual stream          [2048]
  --inner N        width of the MLP                      [4096]
  --dtype f16|f32                                        [f16]
  --steps N        timed steps of a variant in a turn    [30]
  --turns N                                              [2]
  --json FILE      write the results`;

/** One variant at one length. */
interface StepRow {
  gpu: string;
  dtype: string;
  layers: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  length: number;
  variant: StepVariant;
  /** Milliseconds of a step, from the call of session.run to its logits. */
  stepMs: Timing;
  /** Share of V rows read, and microseconds of routing in JavaScript per layer; null where nothing is routed. */
  keptGroup: number | null;
  routingUs: number | null;
}

function markdown(rows: readonly StepRow[]): string {
  const lengths = [...new Set(rows.map((row) => row.length))];
  const head = ['keys', 'stock', 'shared cache', 'sift', 'shared, dense', 'shared, sift'];
  const figures = ['stock / both', 'V rows read', 'routing, µs a layer'];
  const lines = lengths.map((length) => {
    const at = (variant: StepVariant) =>
      rows.find((row) => row.length === length && row.variant === variant)!;
    const both = at('shared+sift');
    return [
      length.toLocaleString('en'),
      ...STEP_VARIANTS.map((variant) => at(variant).stepMs.median.toFixed(2)),
      (at('stock').stepMs.median / both.stepMs.median).toFixed(2),
      `${(100 * both.keptGroup!).toFixed(0)}%`,
      both.routingUs!.toFixed(1),
    ];
  });
  return markdownTable([...head, ...figures], lines);
}

/** Runs the benchmark with the arguments of the command line. */
export async function benchStep(args: string[]): Promise<void> {
  const { values: options } = parseArgs({
    args,
    options: {
      step: { type: 'boolean' },
      lengths: { type: 'string', default: '2048,8192,32768' },
      layers: { type: 'string', default: '4' },
      heads: { type: 'string', default: '32' },
      'kv-heads': { type: 'string', default: '8' },
      'head-size': { type: 'string', default: '64' },
      hidden: { type: 'string', default: '2048' },
      inner: { type: 'string', default: '4096' },
      dtype: { type: 'string', default: 'f16' },
      steps: { type: 'string', default: '30' },
      turns: { type: 'string', default: '2' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (options.help) return console.log(USAGE);
  if (options.dtype !== 'f16' && options.dtype !== 'f32') throw new Error('--dtype: f16 or f32');
  const lengths = options.lengths.split(',').map(Number);
  const started = performance.now();
  const log = (text: string) =>
    console.error(`[${((performance.now() - started) / 1000).toFixed(1)} s] ${text}`);

  await startGpu();
  copySharedWrites();
  const ort = await loadRuntime();
  const model: StepModel = {
    layers: Number(options.layers),
    hidden: Number(options.hidden),
    inner: Number(options.inner),
    positions: Math.max(...lengths) + 4096,
    shape: {
      queryHeads: Number(options.heads),
      kvHeads: Number(options['kv-heads']),
      headSize: Number(options['head-size']),
      dtype: options.dtype,
    },
  };
  const { bytes, config } = syntheticDecoder(model);
  log(`decoder of ${model.layers} layers: ${(bytes.length / 1e6).toFixed(0)} MB`);
  const cacheType = options.dtype === 'f16' ? 'float16' : 'float32';
  const decoder = await SessionDecoder.open(ort, bytes, config, cacheType);
  const device = await runtimeDevice(ort.env);
  // The plugin must see the runtime compile its attention, so that it is enabled once before the turns of stock.
  (await enableSift(decoder.model, { device, cache: 'shared', siftFrom: 0 })).dispose();

  const rows: StepRow[] = [];
  for (const length of lengths) {
    const past = await createPast(ort, device, model, length, cacheType);
    const figures = new Map<StepVariant, StepFigures[]>();
    const turns = Array.from({ length: Number(options.turns) }, (_, i) =>
      i % 2 ? [...STEP_VARIANTS].reverse() : STEP_VARIANTS,
    );
    for (const variant of turns.flat()) {
      const result = await runVariant(variant, decoder, device, past, length, Number(options.steps));
      figures.set(variant, [...(figures.get(variant) ?? []), result]);
      log(`${length} ${variant}: ${summarise(result.ms).median.toFixed(2)} ms`);
    }
    past.destroy();
    for (const variant of STEP_VARIANTS) {
      const results = figures.get(variant)!;
      const { queryHeads: heads, kvHeads, headSize, dtype } = model.shape;
      rows.push({
        ...{
          gpu: describeDevice(device),
          dtype,
          layers: model.layers,
          heads,
          kvHeads,
          headSize,
          length,
          variant,
        },
        stepMs: summarise(results.flatMap((result) => result.ms)),
        keptGroup: results[0]!.keptGroup,
        routingUs: results[0]!.routingUs,
      });
    }
    if (options.json) {
      mkdirSync(dirname(options.json), { recursive: true });
      const { hidden, inner } = model;
      const about = { date: new Date().toISOString(), runtime: ort.env.versions?.web, hidden, inner };
      writeFileSync(options.json, `${JSON.stringify({ ...about, rows }, null, 1)}\n`);
    }
  }
  console.log(`${describeDevice(device)}; onnxruntime-web ${ort.env.versions?.web}\n\n${markdown(rows)}`);
}
