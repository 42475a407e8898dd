// npm run quality -- --help
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { enableSift } from '../src/index.ts';
import { exactFigures, exactRows, type ForcedOptions, policyFigures } from './forced.ts';
import { type QualityFigures, type SequenceFigures, summarise } from './measure.ts';
import { loadRuntime } from './node-runtime.ts';
import { Decoder, type DecoderConfig } from './pipeline.ts';
import { type NamedPolicy, POLICY_SYNTAX, parsePolicy } from './policy-syntax.ts';
import { compareRows } from './rows.ts';

const USAGE = `npm run quality -- [options]
  --model DIR        converted model (tools/models/convert.ts)
  --dtype NAME       fp32 (default), fp16, q4, q4f16
  --tokens FILE      token ids (quality/tokenise.ts)
  --prompt N         tokens of the prompt (4096), --steps N decode steps after it (1024), --warmup N of which do not count (64)
  --sequences N      spread evenly over the text (4); --only I: one of them
  --policy POLICY    repeatable
  --rows N           compare the kept rows of N steps with the f64 reference instead
  --json FILE        results; an interrupted run goes on from FILE.part
Policies: ${POLICY_SYNTAX}`;

const SUFFIX: Record<string, string> = { fp32: '', fp16: '_fp16', q4: '_q4', q4f16: '_q4f16' };

const { values: args } = parseArgs({
  options: {
    help: { type: 'boolean' },
    model: { type: 'string', default: '.cache/models/small' },
    dtype: { type: 'string', default: 'fp32' },
    tokens: { type: 'string', default: '.cache/quality/dev.tokens' },
    prompt: { type: 'string', default: '4096' },
    steps: { type: 'string', default: '1024' },
    warmup: { type: 'string', default: '64' },
    sequences: { type: 'string', default: '4' },
    only: { type: 'string' },
    policy: { type: 'string', multiple: true, default: ['paper:0.875', 'default:0.875'] },
    rows: { type: 'string' },
    json: { type: 'string' },
  },
});
if (args.help) {
  console.log(USAGE);
  process.exit(0);
}

const { model, dtype } = args;
const [prompt, steps, warmup, count] = [args.prompt, args.steps, args.warmup, args.sequences].map(Number) as [
  number,
  number,
  number,
  number,
];
const policies: NamedPolicy[] = args.policy.map(parsePolicy);
if (!existsSync(args.tokens)) throw new Error(`${args.tokens} is missing: make it with quality/tokenise.ts.`);
const bytes = readFileSync(args.tokens);
const all = Array.from(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2));
const length = prompt + steps + 1;
const starts = Array.from({ length: count }, (_, i) =>
  Math.floor((i * (all.length - length)) / Math.max(1, count)),
);

const ort = await loadRuntime();
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
const decoder = new Decoder(
  ort,
  session,
  config,
  dtype.endsWith('16') ? 'float16' : 'float32',
  all.slice(0, 40),
);
const gpu = device.adapterInfo
  ? `${device.adapterInfo.vendor} ${device.adapterInfo.architecture}`.trim()
  : 'unknown';
const settings = { gpu, dtype, prompt, steps, warmup };
const options: ForcedOptions = { prompt, steps, warmup, device };
const began = performance.now();
const say = (message: string) =>
  console.log(`${((performance.now() - began) / 1000).toFixed(0)} s  ${message}`);
const chosen = args.only === undefined ? starts.map((_, i) => i) : [Number(args.only)];

if (args.rows) {
  const results = [];
  for (const index of chosen) {
    const start = starts[index]!;
    for (const named of policies) {
      const agreement = await compareRows(decoder, all.slice(start, start + length), named, {
        prompt,
        steps,
        samples: Number(args.rows),
        device,
      });
      say(
        `${named.name}: ${agreement.agree} of ${agreement.decisions} decisions agree, ${agreement.agreeLearned} with thresholds learned in f64`,
      );
      results.push({ start, ...agreement });
      if (args.json) writeFileSync(args.json, `${JSON.stringify({ ...settings, results }, null, 1)}\n`);
    }
  }
  process.exit(0);
}

/** Figures by policy and start of the sequence, saved after each. */
const part = args.json ? `${args.json}.part` : undefined;
const done: Record<string, SequenceFigures> =
  part && existsSync(part) ? JSON.parse(readFileSync(part, 'utf8')) : {};
function keep(key: string, figures: SequenceFigures): void {
  done[key] = figures;
  if (!part) return;
  writeFileSync(
    `${part}.new`,
    JSON.stringify(done, (_, value) => (typeof value === 'number' ? Number(value.toPrecision(6)) : value)),
  );
  renameSync(`${part}.new`, part);
}

// The plugin must see the runtime compile its attention: enable it once before the exact run, which is stock.
(await enableSift(decoder.pipeline, { device })).dispose();
for (const [turn, index] of chosen.entries()) {
  const start = starts[index]!;
  const tokens = all.slice(start, start + length);
  const missing = policies.filter(({ name }) => !done[`${name} @${start}`]);
  if (missing.length === 0) continue;
  say(`sequence ${turn + 1} of ${chosen.length}: exact`);
  const exact = await exactRows(decoder, tokens, options);
  keep(`exact @${start}`, exactFigures(exact, tokens, options));
  for (const named of missing) {
    say(`sequence ${turn + 1} of ${chosen.length}: ${named.name}`);
    keep(`${named.name} @${start}`, await policyFigures(decoder, tokens, exact, named, options));
  }
}

const results = ['exact', ...policies.map(({ name }) => name)].map((name) =>
  summarise(
    name,
    chosen.map((index) => done[`${name} @${starts[index]}`]!),
  ),
);
const percent = (value: number | null) => (value === null ? '100.0%' : `${(100 * value).toFixed(1)}%`);
const row = (r: QualityFigures) =>
  `| ${r.policy} | ${r.ppl.toFixed(3)} | ${r.klMean.toFixed(5)} | ${r.klMedian.toFixed(5)} | ${r.kl99.toFixed(4)} | ${percent(r.top1)} | ${percent(r.keptHead)} | ${percent(r.keptGroup)} |`;
console.log(
  [
    '| policy | ppl | mean KL | median KL | 99% KL | same top-1 | kept | group |',
    '|---|---|---|---|---|---|---|---|',
    ...results.map(row),
  ].join('\n'),
);
if (args.json)
  writeFileSync(
    args.json,
    `${JSON.stringify({ ...settings, starts: chosen.map((i) => starts[i]), results }, null, 1)}\n`,
  );
process.exit(0); // onnxruntime and Dawn keep the process alive
