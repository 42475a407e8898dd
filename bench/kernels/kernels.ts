// One layer's attention in a decode step: the runtime's kernels, ours with every row kept, and ours that sift.
import type { CapturedDispatch } from '../../lab/webgpu-calls/captured-dispatch.ts';
import type { AttentionShape } from '../../src/kernel/shape.ts';
import type { Tuning } from '../../src/kernel/step/tuning.ts';
import { fits, type Recording, recordedInputs } from '../recording/recording.ts';
import { copyBandwidth } from '../timing/bandwidth.ts';
import { describeDevice, loadRuntime } from '../timing/device.ts';
import { PassTimer, timeInTurns, type Variant } from '../timing/timing.ts';
import { cacheBytes, createInputs, destroyInputs } from './inputs.ts';
import { createVariants, keptFractions, type SiftCase } from './our-attention.ts';
import { floors, markdown, type Row, screenedBytes } from './report.ts';
import { createStock } from './stock-attention.ts';
import { StockCapture } from './stock-capture.ts';
import { verifyVariants } from './verify.ts';

export interface KernelOptions {
  shapes: readonly AttentionShape[];
  lengths: readonly number[];
  /** The sifted cases with normal scores, or with recorded ones. */
  cases(recorded: boolean): SiftCase[];
  /** q, K and V of a model; the shape that they have is measured with them, too. */
  recording: Recording | undefined;
  /** Whether normal scores are left out. */
  onlyRecorded: boolean;
  /** Whether the runtime's kernels are captured and timed. */
  stock: boolean;
  tuning: Partial<Tuning>;
  /** Samples of each variant, and the fewest calls in a sample. */
  repeat: number;
  calls: number;
  /** Bytes of K and V in rotation, and of the buffer of the copy test. */
  rotateBytes: number;
  copyBytes: number;
  log(text: string): void;
  /** Keeps the results so far. */
  save(results: object): void;
}

/** The most sets of inputs. Each has bind groups and scratch space of its own within a sample. */
const MAX_SETS = 64;

const shapeKey = (shape: AttentionShape, length: number) => JSON.stringify([shape, length]);

/** Captures the runtime's programs for every shape and length. */
async function captureAll({ shapes, lengths, log }: KernelOptions) {
  const captured = new Map<string, CapturedDispatch[]>();
  const ort = await loadRuntime();
  const capture = new StockCapture(ort);
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
    capture.stop();
  }
  return { captured, version: ort.env.versions?.web ?? 'unknown' };
}

/** What one shape is measured with at one length. */
interface Case {
  shape: AttentionShape;
  length: number;
  /** The runtime's programs, if they were captured. */
  programs: CapturedDispatch[] | undefined;
  recorded: Recording | undefined;
  gigabytesPerSecond: number;
}

/** Verifies and times one shape at one length. */
async function measure(
  device: GPUDevice,
  timer: PassTimer,
  { shape, length, programs, recorded, gigabytesPerSecond }: Case,
  options: KernelOptions,
): Promise<Row[]> {
  const { log } = options;
  const wanted = Math.ceil(options.rotateBytes / (2 * cacheBytes(shape, length)));
  const setCount = Math.min(MAX_SETS, Math.max(2, wanted));
  const calls = Math.max(options.calls, setCount);
  const sets = recorded
    ? recordedInputs(device, recorded, length, setCount)
    : await createInputs(device, shape, length, setCount);
  const output = device.createBuffer({
    size: Math.ceil((shape.queryHeads * shape.headSize * 4) / 16) * 16,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  const cases = options.cases(recorded !== undefined);
  const ours = await createVariants(device, shape, length, cases, sets, output, options.tuning);
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
    const variants: Variant[] = [
      ours.dense,
      ...ours.sifted.flatMap(({ variant, screened }) => (screened ? [variant, screened.variant] : [variant])),
      ours.warmup,
    ];
    if (stock) variants.unshift({ name: 'stock', encode: (pass, call) => stock.encode(pass, call) });
    const times = await timeInTurns(timer, variants, calls, options.repeat);
    const rows: Row[] = [];
    for (const { tau, kept, level, form, variant, screened } of ours.sifted) {
      const base = {
        ...{ gpu: describeDevice(device), dtype: shape.dtype, heads: shape.queryHeads },
        ...{ kvHeads: shape.kvHeads, headSize: shape.headSize, length },
        scores: recorded ? ('recorded' as const) : ('normal' as const),
        ...{ tau: tau ?? null, kept: kept ?? null, level: level ?? null, form },
        ...(await keptFractions(variant.attention, length)),
      };
      const spread = {
        ...{ stock: times.get('stock') ?? null, dense: times.get('dense')! },
        ...{ sift: times.get(variant.name)!, warmup: times.get('warmup')! },
        screened: screened ? times.get(screened.variant.name)! : null,
      };
      const screenedKept = screened
        ? (await keptFractions(screened.variant.attention, length)).keptGroup
        : null;
      rows.push({
        ...base,
        stockUs: spread.stock?.median ?? null,
        denseUs: spread.dense.median,
        siftUs: spread.sift.median,
        screenedUs: spread.screened?.median ?? null,
        kvBytes: screenedKept === null ? null : screenedBytes(shape, length, screenedKept),
        warmupUs: spread.warmup.median,
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

/** Times every shape at every length, and prints a table. */
export async function benchKernels(device: GPUDevice, options: KernelOptions): Promise<void> {
  const { shapes, lengths, recording, log } = options;
  const { captured, version } = options.stock
    ? await captureAll(options)
    : { captured: new Map<string, CapturedDispatch[]>(), version: 'not run' };
  const timer = new PassTimer(device);
  const bandwidth = await copyBandwidth(device, timer, options.copyBytes);
  const best = Math.max(bandwidth.kernel, bandwidth.copyBufferToBuffer);
  log(`copy: ${best.toFixed(1)} GB/s ${JSON.stringify(bandwidth)}`);
  const rows: Row[] = [];
  for (const shape of shapes) {
    for (const length of lengths) {
      const programs = captured.get(shapeKey(shape, length));
      const recordings: (Recording | undefined)[] = options.onlyRecorded ? [] : [undefined];
      if (recording && fits(recording, shape)) recordings.push(recording);
      for (const recorded of recordings) {
        const found = { shape, length, programs, recorded, gigabytesPerSecond: best };
        rows.push(...(await measure(device, timer, found, options)));
      }
      const { vendor, architecture, description, device: chip } = device.adapterInfo;
      const adapter = { vendor, architecture, description, chip };
      options.save({ adapter, date: new Date().toISOString(), runtime: version, bandwidth, rows });
    }
  }
  console.log(`${describeDevice(device)}; copy ${best.toFixed(0)} GB/s; onnxruntime-web ${version}\n`);
  console.log(markdown(rows));
}
