// The kernels' benchmark, and its other modes: npm run bench -- --help
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import type { AttentionShape, DType } from '../src/kernel/shape.ts';
import { verifyConformance, verifyThresholds } from './kernels/conformance.ts';
import { benchKernels } from './kernels/kernels.ts';
import type { SiftCase, SiftForm } from './kernels/our-attention.ts';
import { type ProofResult, parseShapes, proveShape } from './kernels/shape-proof.ts';
import { runPaged } from './paged/paged.ts';
import { pagedMarkdown } from './paged/report.ts';
import { loadRecording } from './recording/recording.ts';
import { checkExactness } from './step/exact.ts';
import { benchStep } from './step/step.ts';
import { describeDevice, openDevice, startGpu } from './timing/device.ts';
import { PassTimer } from './timing/timing.ts';

const USAGE = `usage: run.mjs [options]
  --lengths LIST     keys in the cache           [2048,8192,32768,131072]
  --heads LIST       query heads                 [32]
  --kv-heads N       KV heads                    [8]
  --head-size LIST   elements of a row           [64,128]
  --dtype LIST       f16, f32                    [f16 if the device has it]
  --kept LIST        fractions of V rows to read, scores being normal [0.27,0.12; none if --tau is given]
  --tau LIST         shares of rows that a head drops, learned
  --level LIST       c of c/S, as the presets have it
  --form LIST        two-pass, one-pass          [two-pass,one-pass]
  --tuning JSON      other than the kernels' own (src/kernel/step/tuning.ts)
  --recorded FILE    q, K and V of a model (bench/recording/record.py), too, for the shape that they have
  --only-recorded    no normal ones
  --repeat N         samples of each variant     [40]
  --calls N          calls in a sample, at least [32]
  --rotate-mb N      K and V in rotation         [512]
  --copy-mb N        buffer of the copy test     [512]
  --no-stock         leave the runtime out
  --paged            instead paged caches as in web-llm, at --lengths 4096,32768, --kept 0.27
  --step             instead a whole decode step (--step --help)
  --exact DIR        instead the tokens of a model on a shared KV cache against stock
  --verify N         instead run N conformance cases for each type, and learned thresholds against f64
  --prove LIST       instead every kind of step of shapes such as 8/2x512,64/8x64+sinks against f64, with each variant of the kernels: a
                     line of JSON for each; with --dtype and --seeds N [4]
  --vendor NAME      end with 1 if the adapter is another vendor's
  --json FILE        write the results`;

const [, , ...args] = process.argv;

function readOptions() {
  return parseArgs({
    args,
    options: {
      lengths: { type: 'string', default: '2048,8192,32768,131072' },
      heads: { type: 'string', default: '32' },
      'kv-heads': { type: 'string', default: '8' },
      'head-size': { type: 'string', default: '64,128' },
      dtype: { type: 'string' },
      kept: { type: 'string' },
      tau: { type: 'string' },
      level: { type: 'string' },
      form: { type: 'string', default: 'two-pass,one-pass' },
      recorded: { type: 'string' },
      'only-recorded': { type: 'boolean', default: false },
      tuning: { type: 'string', default: '{}' },
      repeat: { type: 'string', default: '40' },
      calls: { type: 'string', default: '32' },
      'rotate-mb': { type: 'string', default: '512' },
      'copy-mb': { type: 'string', default: '512' },
      'no-stock': { type: 'boolean', default: false },
      paged: { type: 'boolean', default: false },
      verify: { type: 'string' },
      prove: { type: 'string' },
      seeds: { type: 'string', default: '4' },
      vendor: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  }).values;
}

type Options = ReturnType<typeof readOptions>;

function numbers(list: string, name: string): number[] {
  return list.split(',').map((text) => {
    const value = Number(text);
    if (!(value > 0)) throw new Error(`--${name}: ${text} is no positive number`);
    return value;
  });
}

const started = performance.now();
const log = (text: string) =>
  console.error(`[${((performance.now() - started) / 1000).toFixed(1)} s] ${text}`);

function save(results: object, { json }: Options): void {
  if (!json) return;
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify(results, null, 1)}\n`);
}

/** The element types that were asked for; by default f16 where the device has it. */
const dtypesOf = (device: GPUDevice, { dtype }: Options): string =>
  dtype ?? (device.features.has('shader-f16') ? 'f16' : 'f32');

/** The sifted cases that were asked for. */
function siftCases(options: Options, recorded: boolean): SiftCase[] {
  const forms = options.form.split(',') as SiftForm[];
  const taus = options.tau === undefined ? [] : options.tau.split(',').map(Number);
  // Levels are computed for normal scores.
  const levels = options.level === undefined ? [] : numbers(options.level, 'level');
  const kept = options.kept ?? (taus.length + levels.length > 0 ? undefined : '0.27,0.12');
  const fractions = recorded || kept === undefined ? [] : numbers(kept, 'kept');
  return [
    ...taus.map((tau) => ({ tau, kept: undefined, level: undefined })),
    ...fractions.map((kept) => ({ tau: undefined, kept, level: undefined })),
    ...levels.map((level) => ({ tau: undefined, kept: undefined, level })),
  ].flatMap((c) => forms.map((form) => ({ ...c, form })));
}

/** Runs drawn cases in place of times, and prints what is not as it must be. */
async function verify(device: GPUDevice, cases: number, options: Options): Promise<void> {
  const results = await verifyConformance(device, cases);
  for (const r of results) {
    console.log(
      `${r.dtype} subgroups ${r.subgroups}: ${r.cases} cases, worst error ${r.worst.toExponential(2)} (${r.worstCase}), over the bound ${r.failures.length}, other counts ${r.countsDiffer.length}`,
    );
    for (const line of [...r.failures, ...r.countsDiffer]) console.log(`  ${line}`);
    if (r.failures.length + r.countsDiffer.length > 0) process.exitCode = 1;
  }
  const thresholds = await verifyThresholds(device);
  console.log(`learned thresholds that are not exact: ${thresholds.length}`);
  for (const line of thresholds) console.log(`  ${line}`);
  if (thresholds.length > 0) process.exitCode = 1;
  const date = new Date().toISOString();
  save({ gpu: describeDevice(device), date, conformance: results, thresholds }, options);
}

/** Holds every kind of step of some shapes against f64, in place of times. */
async function prove(device: GPUDevice, list: string, options: Options): Promise<void> {
  const dtypes = dtypesOf(device, options).split(',') as DType[];
  const results: ProofResult[] = [];
  for (const shape of dtypes.flatMap((dtype) => parseShapes(list, dtype))) {
    for await (const result of proveShape(device, shape, Number(options.seeds))) {
      results.push(result);
      console.log(JSON.stringify(result));
    }
  }
  const wrong = results.filter(({ ok }) => !ok);
  log(`${results.length} steps, ${wrong.length} of them wrong`);
  if (wrong.length > 0 || results.length === 0) process.exitCode = 1;
  save({ gpu: describeDevice(device), date: new Date().toISOString(), proof: results }, options);
}

async function paged(device: GPUDevice, options: Options): Promise<void> {
  const given = process.argv.some((text) => text.startsWith('--lengths'));
  const rows = await runPaged(device, new PassTimer(device), {
    dtype: dtypesOf(device, options) as DType,
    lengths: given ? numbers(options.lengths, 'lengths') : [4096, 32768],
    kept: numbers(options.kept ?? '0.27', 'kept')[0]!,
    rotateBytes: Number(options['rotate-mb']) * 1e6,
    calls: Number(options.calls),
    repeat: Number(options.repeat),
    log,
  });
  save({ gpu: describeDevice(device), date: new Date().toISOString(), rows }, options);
  console.log(`${describeDevice(device)}\n\n${pagedMarkdown(rows)}`);
}

async function kernels(device: GPUDevice, options: Options): Promise<void> {
  const dtypes = dtypesOf(device, options).split(',') as DType[];
  const kvHeads = Number(options['kv-heads']);
  await benchKernels(device, {
    shapes: dtypes.flatMap((dtype) =>
      numbers(options['head-size'], 'head-size').flatMap((headSize) =>
        numbers(options.heads, 'heads').map(
          (queryHeads): AttentionShape => ({ queryHeads, kvHeads, headSize, dtype }),
        ),
      ),
    ),
    lengths: numbers(options.lengths, 'lengths'),
    cases: (recorded) => siftCases(options, recorded),
    recording: options.recorded === undefined ? undefined : loadRecording(options.recorded),
    onlyRecorded: options['only-recorded'],
    stock: !options['no-stock'],
    tuning: JSON.parse(options.tuning),
    repeat: Number(options.repeat),
    calls: Number(options.calls),
    rotateBytes: Number(options['rotate-mb']) * 1e6,
    copyBytes: Math.round(Number(options['copy-mb']) * 62500) * 16,
    log,
    save: (results) => save(results, options),
  });
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options.help) return console.log(USAGE);
  const device = await openDevice(await startGpu());
  log(`${describeDevice(device)}: ${[...device.features].join(', ')}`);
  const { vendor } = device.adapterInfo;
  if (options.vendor !== undefined && vendor !== options.vendor)
    throw new Error(`The adapter's vendor is "${vendor}", and not ${options.vendor}, as --vendor asks.`);
  if (options.prove !== undefined) return prove(device, options.prove, options);
  if (options.verify !== undefined) return verify(device, Number(options.verify), options);
  return options.paged ? paged(device, options) : kernels(device, options);
}

if (args.includes('--step')) await benchStep(args);
else if (args.includes('--exact')) await checkExactness(args);
else await main();
// Dawn's threads would keep the process alive.
process.exit();
