import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import type { AttentionShape, DType } from '../src/kernel/shape.ts';
import type { Tuning } from '../src/kernel/step/tuning.ts';
import { RuntimeCapture } from './capture.ts';
import type { CapturedProgram } from './captured.ts';
import { describeDevice, openDevice, startDawn } from './dawn.ts';
import { checkExactness } from './exact.ts';
import { cacheBytes, createInputs, destroyInputs } from './inputs.ts';
import type { SiftForm } from './kernels.ts';
import { createVariants, keptFractions, type SiftCase } from './kernels.ts';
import { loadOrt } from './ort.ts';
import { pagedMarkdown, runPaged } from './paged.ts';
import { fits, loadRecording, type Recording, recordedInputs } from './recorded.ts';
import { floors, markdown, type Row } from './report.ts';
import { benchStep } from './step.ts';
import { createStock } from './stock.ts';
import { copyBandwidth, PassTimer, timeInTurns, type Variant } from './timing.ts';
import { verifyConformance, verifyThresholds, verifyVariants } from './verify.ts';

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
  --tuning JSON      other than the kernels' own (src/kernel/tuning.ts)
  --recorded FILE    q, K and V of a model (bench/record.py), too, for the shape that they have
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
  --json FILE        write the results`;

const { values: options } = parseArgs({
  args: process.argv.some((arg) => arg === '--step' || arg === '--exact') ? [] : process.argv.slice(2),
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
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

/** Calls whose inputs, scratch space and bind groups one sample may hold. */
const MAX_CALLS = 64;

function numbers(list: string, name: string): number[] {
  return list.split(',').map((text) => {
    const value = Number(text);
    if (!(value > 0)) throw new Error(`--${name}: ${text} is no positive number`);
    return value;
  });
}

const tuning = JSON.parse(options.tuning) as Partial<Tuning>;
const recording = options.recorded === undefined ? undefined : loadRecording(options.recorded);

const started = performance.now();
const log = (text: string) =>
  console.error(`[${((performance.now() - started) / 1000).toFixed(1)} s] ${text}`);

function writeJson(data: object): void {
  if (!options.json) return;
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify(data, null, 1)}\n`);
}

const shapeKey = (shape: AttentionShape, length: number) => JSON.stringify([shape, length]);

/** The sifted cases that were asked for. */
function siftCases(recorded: boolean): SiftCase[] {
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

/** Captures the runtime's programs for every shape and length. */
async function captureAll(shapes: readonly AttentionShape[], lengths: readonly number[]) {
  const captured = new Map<string, CapturedProgram[]>();
  const ort = await loadOrt();
  const capture = new RuntimeCapture(ort);
  try {
    for (const shape of shapes) {
      for (const length of lengths) {
        try {
          const programs = await capture.decodeStep(shape, length);
          captured.set(shapeKey(shape, length), programs);
          log(`captured ${programs.map((p) => `${p.label} ${p.workgroups.join('x')}`).join(', ')}`);
        } catch (error) {
          log(`no stock kernels for ${length} keys: ${error instanceof Error ? error.message : error}`);
          process.exitCode = 1;
        }
      }
    }
  } finally {
    capture.restore();
  }
  return { captured, version: ort.env.versions?.web ?? 'unknown' };
}

/** Verifies and times one shape at one length. */
async function measure(
  device: GPUDevice,
  timer: PassTimer,
  shape: AttentionShape,
  length: number,
  programs: CapturedProgram[] | undefined,
  gigabytesPerSecond: number,
  recorded: Recording | undefined,
): Promise<Row[]> {
  const rotate = Number(options['rotate-mb']) * 1e6;
  const setCount = Math.min(MAX_CALLS, Math.max(2, Math.ceil(rotate / (2 * cacheBytes(shape, length)))));
  const calls = Math.max(Number(options.calls), setCount);
  const sets = recorded
    ? recordedInputs(device, recorded, length, setCount)
    : await createInputs(device, shape, length, setCount);
  const output = device.createBuffer({
    size: Math.ceil((shape.queryHeads * shape.headSize * 4) / 16) * 16,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  const ours = await createVariants(
    device,
    shape,
    length,
    siftCases(recorded !== undefined),
    sets,
    output,
    tuning,
  );
  const stock = programs && (await createStock(device, programs, length, sets, output));
  try {
    const errors = await verifyVariants(device, shape, length, sets[0]!, output, ours, stock);
    const { failures, ...figures } = errors;
    log(`${shape.dtype} ${shape.headSize} x ${length}: ${JSON.stringify(figures)}`);
    if (failures.length > 0) {
      log(`NOT TIMED: ${failures.join('; ')}`);
      process.exitCode = 1;
      return [];
    }
    for (const { variant } of ours.sifted) variant.learn(device);
    ours.warmup.attention.reset();
    const variants: Variant[] = [ours.dense, ...ours.sifted.map((s) => s.variant), ours.warmup];
    if (stock) variants.unshift({ name: 'stock', encode: (pass, call) => stock.encode(pass, call) });
    const times = await timeInTurns(timer, variants, calls, Number(options.repeat));
    const timing = (name: string) => times.get(name) ?? null;
    const rows: Row[] = [];
    for (const { tau, kept, level, form, variant } of ours.sifted) {
      const base = {
        ...{ gpu: describeDevice(device), dtype: shape.dtype, heads: shape.queryHeads },
        ...{ kvHeads: shape.kvHeads, headSize: shape.headSize, length },
        ...{
          scores: recorded ? ('recorded' as const) : ('normal' as const),
          tau: tau ?? null,
          kept: kept ?? null,
          level: level ?? null,
          form,
        },
        ...(await keptFractions(variant.attention, length)),
      };
      const spread = {
        ...{ stock: timing('stock'), dense: timing('dense') },
        ...{ sift: timing(variant.name), warmup: timing('warmup') },
      };
      rows.push({
        ...base,
        stockUs: spread.stock?.median ?? null,
        denseUs: spread.dense!.median,
        siftUs: spread.sift!.median,
        warmupUs: spread.warmup!.median,
        ...floors(base, gigabytesPerSecond),
        ...{ spread, sets: setCount, calls, errors },
      });
    }
    return rows;
  } finally {
    ours.destroy();
    stock?.destroy();
    output.destroy();
    destroyInputs(sets);
  }
}

async function paged(device: GPUDevice): Promise<void> {
  const given = process.argv.some((text) => text.startsWith('--lengths'));
  const rows = await runPaged(device, new PassTimer(device), {
    dtype: (options.dtype ?? (device.features.has('shader-f16') ? 'f16' : 'f32')) as DType,
    lengths: given ? numbers(options.lengths, 'lengths') : [4096, 32768],
    kept: numbers(options.kept ?? '0.27', 'kept')[0]!,
    rotateBytes: Number(options['rotate-mb']) * 1e6,
    calls: Number(options.calls),
    repeat: Number(options.repeat),
    log,
  });
  writeJson({ gpu: describeDevice(device), date: new Date().toISOString(), rows });
  console.log(`${describeDevice(device)}\n\n${pagedMarkdown(rows)}`);
}

async function main(): Promise<void> {
  if (options.help) return console.log(USAGE);
  const gpu = await startDawn();
  const device = await openDevice(gpu);
  log(`${describeDevice(device)}: ${[...device.features].join(', ')}`);
  if (options.verify !== undefined) {
    const results = await verifyConformance(device, Number(options.verify));
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
    return writeJson({ gpu: describeDevice(device), date, conformance: results, thresholds });
  }

  if (options.paged) return paged(device);

  const dtypes = (options.dtype ?? (device.features.has('shader-f16') ? 'f16' : 'f32')).split(',') as DType[];

  const lengths = numbers(options.lengths, 'lengths');
  const shapes = dtypes.flatMap((dtype) =>
    numbers(options['head-size'], 'head-size').flatMap((headSize) =>
      numbers(options.heads, 'heads').map(
        (queryHeads): AttentionShape => ({
          queryHeads,
          kvHeads: Number(options['kv-heads']),
          headSize,
          dtype,
        }),
      ),
    ),
  );
  const { captured, version } = options['no-stock']
    ? { captured: new Map<string, CapturedProgram[]>(), version: 'not run' }
    : await captureAll(shapes, lengths);
  const timer = new PassTimer(device);
  const bandwidth = await copyBandwidth(device, timer, Math.round(Number(options['copy-mb']) * 62500) * 16);
  const best = Math.max(bandwidth.kernel, bandwidth.copyBufferToBuffer);
  log(`copy: ${best.toFixed(1)} GB/s ${JSON.stringify(bandwidth)}`);
  const rows: Row[] = [];
  for (const shape of shapes) {
    for (const length of lengths) {
      const programs = captured.get(shapeKey(shape, length));
      if (!options['only-recorded']) {
        rows.push(...(await measure(device, timer, shape, length, programs, best, undefined)));
      }
      if (recording && fits(recording, shape)) {
        rows.push(...(await measure(device, timer, shape, length, programs, best, recording)));
      }
      const { vendor, architecture, description, device: chip } = device.adapterInfo;
      const adapter = { vendor, architecture, description, chip };
      writeJson({ adapter, date: new Date().toISOString(), runtime: version, bandwidth, rows });
    }
  }
  console.log(`${describeDevice(device)}; copy ${best.toFixed(0)} GB/s; onnxruntime-web ${version}\n`);
  console.log(markdown(rows));
}

const [, , ...args] = process.argv;
if (args.includes('--step')) await benchStep(args);
else if (args.includes('--exact')) await checkExactness(args);
else await main();
// Dawn's threads would keep the process alive.
process.exit();
