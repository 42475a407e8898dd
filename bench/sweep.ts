// Times our kernels, whole steps and one by one, under several tunings in one run.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { download } from '../src/kernel/gpu/transfer.ts';
import { outputError } from '../src/kernel/proof/test-cases.ts';
import type { AttentionShape, DType } from '../src/kernel/shape.ts';
import { createSiftAttention } from '../src/kernel/sift-attention.ts';
import { createStepResources, type StepResources } from '../src/kernel/step/encoder.ts';
import type { Tuning } from '../src/kernel/step/tuning.ts';
import {
  learnedPolicy,
  probabilityPolicy,
  type ThresholdPolicy,
  uniformPolicy,
} from '../src/policy/index.ts';
import { cacheBytes, createInputs, destroyInputs, type InputSet, uniformLevel } from './kernels/inputs.ts';
import { inForm, keptFractions, OurAttention, type SiftForm } from './kernels/our-attention.ts';
import { fits, loadRecording, recordedInputs } from './recording/recording.ts';
import { copyBandwidth } from './timing/bandwidth.ts';
import { describeDevice, openDevice, startGpu } from './timing/device.ts';
import { PassTimer, type Timing, timeInTurns, type Variant } from './timing/timing.ts';

const { values: options } = parseArgs({
  options: {
    lengths: { type: 'string', default: '32768,131072' },
    heads: { type: 'string', default: '32' },
    'kv-heads': { type: 'string', default: '8' },
    'head-size': { type: 'string', default: '64' },
    dtype: { type: 'string', default: 'f16' },
    kept: { type: 'string', default: '0.27' },
    /** Levels c, in place of --kept: rows with a probability of at least c/length are read. */
    level: { type: 'string' },
    form: { type: 'string', default: 'two-pass,one-pass' },
    /** Heads that a model recorded (bench/recording/record.py), in place of normal scores. */
    recorded: { type: 'string' },
    repeat: { type: 'string', default: '10' },
    /** The fewest calls in a sample. */
    calls: { type: 'string', default: '32' },
    'rotate-mb': { type: 'string', default: '512' },
    'copy-mb': { type: 'string', default: '512' },
    /** JSON list of partial tunings. */
    tunings: { type: 'string', default: '[{}]' },
    /** Kernels to time alone, by name. */
    kernels: {
      type: 'string',
      default: 'dense,denseLearn,sift,scores,gather,combine,learn',
    },
    subgroups: { type: 'string', default: 'true' },
    json: { type: 'string' },
  },
});

/** Levels to sift at, by name. */
function levels(shape: AttentionShape): [string, number][] {
  const list = (text: string) => text.split(',').filter(Boolean).map(Number);
  if (options.level !== undefined) return list(options.level).map((c) => [`${c}/S`, c]);
  return list(options.kept).map((share) => [`${share}`, uniformLevel(share, shape)]);
}

/** A pass that runs the dispatches of one kernel alone. */
function only(pass: GPUComputePassEncoder, label: string): GPUComputePassEncoder {
  let on = false;
  const filtered = {
    setPipeline(pipeline: GPUComputePipeline) {
      on = pipeline.label === label;
      if (on) pass.setPipeline(pipeline);
    },
    setBindGroup(
      index: number,
      group: GPUBindGroup,
      data: Uint32Array<ArrayBuffer>,
      start: number,
      length: number,
    ) {
      if (on) pass.setBindGroup(index, group, data, start, length);
    },
    dispatchWorkgroups(x: number, y: number, z: number) {
      if (on) pass.dispatchWorkgroups(x, y, z);
    },
  };
  return filtered as unknown as GPUComputePassEncoder;
}

const device = await openDevice(await startGpu());
const timer = new PassTimer(device);
const bandwidth = await copyBandwidth(device, timer, Number(options['copy-mb']) * 1e6);
const rate = Math.max(bandwidth.kernel, bandwidth.copyBufferToBuffer);
console.log(`${describeDevice(device)} copy ${rate.toFixed(0)} GB/s`);
const tunings = JSON.parse(options.tunings) as Partial<Tuning>[];
const recording = options.recorded === undefined ? undefined : loadRecording(options.recorded);

/** What is timed in turns at one shape and length. The outputs of whole steps are kept, to be held against each other. */
class Contest {
  readonly variants: Variant[] = [];
  readonly outputs = new Map<string, Float32Array>();
  /** Shares of the V rows that the whole steps read. */
  readonly read = new Map<string, number>();
  private readonly own: { destroy(): void }[] = [];
  private readonly output: GPUBuffer;

  constructor(
    private readonly shape: AttentionShape,
    private readonly length: number,
    private readonly sets: readonly InputSet[],
  ) {
    this.output = device.createBuffer({
      size: shape.queryHeads * shape.headSize * 4,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  /** Adds every kind of step under a tuning. */
  async addTuning(tuning: Partial<Tuning>): Promise<void> {
    const resources = await createStepResources(device);
    const add = (name: string, policy: ThresholdPolicy, kernels: string[]) =>
      this.addSteps(`${JSON.stringify(tuning)} ${name}`, policy, kernels, { resources, tuning });
    await add('dense', probabilityPolicy({ p: 0 }), ['dense', 'combine']);
    for (const [name, c] of levels(this.shape)) {
      for (const form of options.form.split(',') as SiftForm[]) {
        const kernels = form === 'one-pass' ? ['sift', 'combine'] : ['scores', 'gather', 'combine'];
        await add(`${form} ${name}`, inForm(uniformPolicy({ c }), form), kernels);
      }
    }
    await add('warmup', learnedPolicy({ warmup: 4096 }), ['denseLearn', 'learn']);
    this.own.push({
      destroy: () => {
        resources.scratch.destroy();
        resources.params.destroy();
      },
    });
  }

  /** Adds steps under a policy, and those of their kernels that are asked for alone. */
  private async addSteps(
    label: string,
    policy: ThresholdPolicy,
    kernels: string[],
    settings: { resources: StepResources; tuning: Partial<Tuning> },
  ): Promise<void> {
    const { shape, length, sets, output } = this;
    const subgroups = options.subgroups === 'true';
    const attention = await createSiftAttention(device, shape, { policy, subgroups, ...settings });
    this.own.push(attention);
    const whole = new OurAttention(label, attention, length, sets, output);
    for (let i = 0; i < 2; i++) {
      whole.begin();
      const commands = device.createCommandEncoder();
      commands.clearBuffer(output);
      const pass = commands.beginComputePass();
      whole.encode(pass, 0);
      pass.end();
      device.queue.submit([commands.finish()]);
    }
    this.outputs.set(label, await download(device, output, shape.queryHeads * shape.headSize, shape.dtype));
    this.variants.push(whole);
    this.read.set(label, (await keptFractions(attention, length)).keptGroup);
    for (const kernel of kernels) {
      if (!options.kernels.split(',').includes(kernel)) continue;
      this.variants.push({
        name: `${label} [${kernel}]`,
        begin: () => whole.begin(),
        encode: (pass, call) => whole.encode(only(pass, `sift ${kernel}`), call),
      });
    }
  }

  destroy(): void {
    for (const one of this.own) one.destroy();
    this.output.destroy();
  }
}

/** Prints the times; a whole step's output is held against that of the first. */
function print(shape: AttentionShape, { outputs, read }: Contest, times: Map<string, Timing>): void {
  const first = outputs.values().next().value!;
  for (const [name, time] of times) {
    const output = outputs.get(name);
    const share = read.has(name) ? ` reads ${(100 * read.get(name)!).toFixed(1)}% of V` : '';
    const off = output ? ` differs ${outputError(output, first, shape).toExponential(1)}` : '';
    console.log(
      `${name}: ${time.median.toFixed(1)} (${time.p10.toFixed(1)}-${time.p90.toFixed(1)})${share}${off}`,
    );
  }
}

const rows: object[] = [];
for (const headSize of options['head-size'].split(',').map(Number)) {
  const shape: AttentionShape = {
    queryHeads: Number(options.heads),
    kvHeads: Number(options['kv-heads']),
    headSize,
    dtype: options.dtype as DType,
  };
  for (const length of options.lengths.split(',').map(Number)) {
    const bytes = 2 * cacheBytes(shape, length);
    const count = Math.min(32, Math.max(2, Math.ceil((Number(options['rotate-mb']) * 1e6) / bytes)));
    const sets =
      recording && fits(recording, shape)
        ? recordedInputs(device, recording, length, count)
        : await createInputs(device, shape, length, count);
    const contest = new Contest(shape, length, sets);
    for (const tuning of tunings) await contest.addTuning(tuning);
    const calls = Math.max(Number(options.calls), count);
    const times = await timeInTurns(timer, contest.variants, calls, Number(options.repeat));
    console.log(
      `\n${shape.dtype} ${shape.queryHeads}/${shape.kvHeads} x ${headSize}, ${length} keys; dense floor ${(bytes / rate / 1000).toFixed(1)}`,
    );
    print(shape, contest, times);
    for (const [name, time] of times) rows.push({ ...shape, length, name, ...time });
    contest.destroy();
    destroyInputs(sets);
  }
}
if (options.json) writeFileSync(options.json, `${JSON.stringify({ bandwidth, rows }, null, 1)}\n`);
process.exit();
