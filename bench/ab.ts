// Times builds of the package against each other on one device, in turns: what a change of the kernels costs or gains.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { AttentionShape, DType } from '../src/kernel/shape.ts';
import { cacheBytes, createInputs, destroyInputs, type InputSet, uniformLevel } from './kernels/inputs.ts';
import { describeDevice, openDevice, startGpu } from './timing/device.ts';
import { PassTimer, type Timing, timeInTurns, type Variant } from './timing/timing.ts';

const { values: options } = parseArgs({
  options: {
    /** Builds as name=path of the package's dist/index.js; the first is what the others are held against. */
    builds: { type: 'string' },
    lengths: { type: 'string', default: '8192,32768,131072' },
    heads: { type: 'string', default: '32/8x64,32/8x128' },
    dtype: { type: 'string', default: 'f16' },
    /** Share of V that sifted steps read. */
    kept: { type: 'string', default: '0.19' },
    steps: { type: 'string', default: 'dense,sift,warm-up,learned' },
    repeat: { type: 'string', default: '15' },
    calls: { type: 'string', default: '32' },
    'rotate-mb': { type: 'string', default: '512' },
    json: { type: 'string' },
  },
});

type Package = typeof import('../src/index.ts');

if (!options.builds) throw new Error('--builds name=dist/index.js,name=dist/index.js');
const builds = await Promise.all(
  options.builds.split(',').map(async (text) => {
    const [name, path] = text.split('=') as [string, string];
    const build = (await import(/* @vite-ignore */ pathToFileURL(resolve(path)).href)) as Package;
    return { name, build };
  }),
);

/** Decode steps in which thresholds are learned. */
const WARMUP = 16;

function policyOf(step: string, { learnedPolicy, presetPolicy, uniformPolicy }: Package, level: number) {
  if (step === 'dense') return presetPolicy('exact');
  if (step === 'sift') return uniformPolicy({ c: level });
  return learnedPolicy(step === 'warm-up' ? { warmup: 4096 } : { warmup: WARMUP });
}

const device = await openDevice(await startGpu());
const timer = new PassTimer(device);
console.log(describeDevice(device));
const rows: object[] = [];
for (const heads of options.heads.split(',')) {
  const [queryHeads, kvHeads, headSize] = heads.split(/[/x]/).map(Number) as [number, number, number];
  const shape = { queryHeads, kvHeads, headSize, dtype: options.dtype as DType };
  for (const length of options.lengths.split(',').map(Number)) {
    const count = Math.ceil((Number(options['rotate-mb']) * 2 ** 20) / (2 * cacheBytes(shape, length)));
    const sets = await createInputs(device, shape, length, Math.max(2, Math.min(16, count)));
    const output = device.createBuffer({ size: queryHeads * headSize * 4, usage: GPUBufferUsage.STORAGE });
    for (const step of options.steps.split(',')) {
      const microseconds = await contest(step, shape, length, sets, output);
      const base = microseconds.get(builds[0]!.name)!.median;
      const text = [...microseconds].map(
        ([name, { median, p10, p90 }]) =>
          `${name} ${median.toFixed(2)} (${p10.toFixed(2)}-${p90.toFixed(2)}) ${(median / base).toFixed(3)}`,
      );
      console.log(`${heads} ${options.dtype} ${length} ${step}: ${text.join('; ')}`);
      rows.push({ ...shape, length, step, microseconds: Object.fromEntries(microseconds) });
    }
    destroyInputs(sets);
    output.destroy();
  }
}
if (options.json)
  writeFileSync(options.json, `${JSON.stringify({ gpu: describeDevice(device), rows }, null, 1)}\n`);
process.exit();

/** Times all builds at one kind of step, in turns. */
async function contest(
  step: string,
  shape: AttentionShape,
  length: number,
  sets: readonly InputSet[],
  output: GPUBuffer,
): Promise<Map<string, Timing>> {
  const level = uniformLevel(Number(options.kept), shape);
  const entrants = await Promise.all(
    builds.map(async ({ name, build }) => {
      const policy = policyOf(step, build, level);
      const attention = await build.createSiftAttention(device, shape, { policy });
      const variant = variantOf(name, attention, length, sets, output);
      for (let i = 0; step === 'learned' && i < WARMUP; i++) submit(variant, i);
      return { variant, attention };
    }),
  );
  const variants = entrants.map(({ variant }) => variant);
  const timings = await timeInTurns(timer, variants, Number(options.calls), Number(options.repeat));
  for (const { attention } of entrants) attention.destroy();
  return timings;
}

function variantOf(
  name: string,
  attention: Awaited<ReturnType<Package['createSiftAttention']>>,
  length: number,
  sets: readonly InputSet[],
  output: GPUBuffer,
): Variant {
  let step: ReturnType<typeof attention.beginStep> | undefined;
  return {
    name,
    begin() {
      step = attention.beginStep({ length });
    },
    encode(pass, call) {
      const { q, keys, values } = sets[call % sets.length]!;
      step!.encode(pass, 0, {
        q: { buffer: q },
        keys: { buffer: keys },
        values: { buffer: values },
        output: { buffer: output },
      });
    },
  };
}

/** Submits one call as a step of its own. */
function submit(variant: Variant, call: number): void {
  const commands = device.createCommandEncoder();
  const pass = commands.beginComputePass();
  variant.begin?.();
  variant.encode(pass, call);
  pass.end();
  device.queue.submit([commands.finish()]);
}
