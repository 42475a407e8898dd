// npm run quality -- --model DIR [--dtype fp16] [--tokens FILE] [--prompt 4096] [--steps 1024] [--sequences 4] [--first 0] [--taus 0.5,0.875] [--json FILE]
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { defaultPolicy, paperPolicy } from '../src/index.ts';
import { compare } from './forced.ts';
import type { QualityFigures } from './measure.ts';
import { loadRuntime } from './node-runtime.ts';
import { Decoder, type DecoderConfig } from './pipeline.ts';

const SUFFIX: Record<string, string> = { fp32: '', fp16: '_fp16', q4: '_q4', q4f16: '_q4f16' };

const { values: args } = parseArgs({
  options: {
    model: { type: 'string', default: '.cache/models/small' },
    dtype: { type: 'string', default: 'fp16' },
    tokens: { type: 'string', default: '.cache/quality/dev.tokens' },
    prompt: { type: 'string', default: '4096' },
    steps: { type: 'string', default: '1024' },
    sequences: { type: 'string', default: '4' },
    first: { type: 'string', default: '0' },
    taus: { type: 'string', default: '0.5,0.75,0.875,0.95' },
    'default-taus': { type: 'string', default: '0,0.5,0.75,0.875,0.95' },
    json: { type: 'string' },
  },
});

const numbers = (list: string) => list.split(',').filter(Boolean).map(Number);
const policies = [
  ...numbers(args.taus).map((tau) => ({ name: `paper ${tau}`, policy: paperPolicy({ tau }) })),
  ...numbers(args['default-taus']).map((tau) => ({ name: `default ${tau}`, policy: defaultPolicy({ tau }) })),
];

const ort = await loadRuntime();
const { model, dtype } = args;
const config: DecoderConfig = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8'));
const outputs = Array.from({ length: config.num_hidden_layers }, (_, i) => [
  `present.${i}.key`,
  `present.${i}.value`,
]);
const session = await ort.InferenceSession.create(
  readFileSync(join(model, `onnx/model${SUFFIX[dtype]}.onnx`)),
  {
    executionProviders: ['webgpu'],
    preferredOutputLocation: Object.fromEntries(outputs.flat().map((name) => [name, 'gpu-buffer' as const])),
  },
);
const device = (await (ort.env.webgpu as unknown as { device: GPUDevice }).device) as GPUDevice;
const [prompt, steps, count, first] = [args.prompt, args.steps, args.sequences, args.first].map(Number) as [
  number,
  number,
  number,
  number,
];
if (!existsSync(args.tokens)) throw new Error(`${args.tokens} is missing: make it with quality/tokenise.ts.`);
const bytes = readFileSync(args.tokens);
const all = Array.from(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2));
const length = prompt + steps + 1;
const sequences = Array.from({ length: count }, (_, i) => {
  const start = Math.floor((i * (all.length - length)) / Math.max(1, count));
  return all.slice(start, start + length);
}).slice(first);
const decoder = new Decoder(
  ort,
  session,
  config,
  dtype.endsWith('16') ? 'float16' : 'float32',
  all.slice(0, 40),
);
const gpu = device.adapterInfo
  ? `${device.adapterInfo.vendor} ${device.adapterInfo.architecture}`
  : 'unknown';
const started = performance.now();
const percent = (value: number | null) => (value === null ? '100.0%' : `${(100 * value).toFixed(1)}%`);
const row = (r: QualityFigures) =>
  `| ${r.policy} | ${r.ppl.toFixed(3)} | ${r.klMean.toFixed(5)} | ${r.klMedian.toFixed(5)} | ${percent(r.top1)} | ${percent(r.keptHead)} | ${percent(r.keptGroup)} |`;
const HEADER = [
  '| policy | ppl | mean KL | median KL | same top-1 | kept | group |',
  '|---|---|---|---|---|---|---|',
];

/** Prints and writes what there is after each sequence, so that an interrupted run leaves its part. */
function show(results: QualityFigures[]): void {
  console.log([...HEADER, ...results.map(row)].join('\n'));
  if (!args.json) return;
  const settings = { gpu, model, dtype, prompt, steps, sequences: count, first };
  writeFileSync(args.json, `${JSON.stringify({ ...settings, results }, null, 1)}\n`);
}

await compare(decoder, sequences, policies, {
  prompt,
  steps,
  warmup: 64,
  device,
  progress: (message) => console.log(`${((performance.now() - started) / 1000).toFixed(0)} s ${message}`),
  partial: show,
});
process.exit(0); // onnxruntime and Dawn keep the process alive
