// What the plugin costs in JavaScript: whole decode steps of a decoder of many layers through the real adapter, in Node or a browser.
import type { InferenceSession } from 'onnxruntime-web';
import { Decoder, type DecoderConfig } from '../../quality/pipeline.ts';
import { shadowMethod } from '../../src/adapters/shadow.ts';
import { isMatched } from '../../src/adapters/transformers/program.ts';
import type { OrtSession } from '../../src/adapters/transformers/runtime.ts';
import { StepHandler } from '../../src/adapters/transformers/step-handler.ts';
import { defaultPolicy, enableSift, probabilityPolicy, uniformPolicy } from '../../src/index.ts';
import { WebGpuMeter } from './meter.ts';

/** The parts of onnxruntime-web that are used. */
export interface Ort {
  InferenceSession: { create(bytes: Uint8Array, options: object): Promise<InferenceSession> };
  Tensor: unknown;
  env: { webgpu: { device?: unknown } };
}

export interface RoutingModel {
  bytes: Uint8Array;
  config: DecoderConfig;
  presents: string[];
}

/** Microseconds a layer: the quickest tenth of the steps, since what else the machine does only adds. */
export interface RoutingFigures {
  name: string;
  layers: number;
  /** The plugin's own JavaScript, all interceptions of a step: what it adds beside WebGPU's methods. */
  own: number;
  /** Of that, in the dispatches that it replaced. */
  routing: number;
  /** The plugin's JavaScript before and after the runtime's own `session.run`: finding the cache, its views. Not in `own`. */
  around: number;
  /** WebGPU's methods in the dispatches that we made, and how many calls. */
  ours: number;
  oursCalls: number;
  /** WebGPU's methods in the runtime's dispatches that ours stand for; measured with the plugin watching only. */
  stock: number;
  stockCalls: number;
  /** Bind groups and buffers that the plugin made, in all the steps counted. */
  created: number;
  /** Calls of the runtime that the plugin sees. */
  seen: number;
  milliseconds: number;
}

/** The kinds of a step. */
export const ROUTING_VARIANTS = {
  dense: probabilityPolicy({ p: 0 }),
  sifted: uniformPolicy({ c: 1 }),
  learning: defaultPolicy({ warmup: 4096 }),
};
export type RoutingVariant = keyof typeof ROUTING_VARIANTS;

export interface RoutingOptions {
  /** Steps that are timed; stock, for comparison, in a third of them. */
  steps: number;
  variants: readonly RoutingVariant[];
  log(text: string): void;
}

const PROMPT = 48;
const SETTLE = 8;

/** Runs every variant and gives its figures. */
export async function measureRouting(
  ort: Ort,
  { bytes, config, presents }: RoutingModel,
  { steps, variants, log }: RoutingOptions,
): Promise<RoutingFigures[]> {
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ['webgpu'],
    preferredOutputLocation: Object.fromEntries(presents.map((name) => [name, 'gpu-buffer'])),
  });
  const device = (await ort.env.webgpu.device) as GPUDevice;
  const probe = Array.from({ length: 48 }, (_, i) => 1 + ((i * 37) % (config.vocab_size - 1)));
  const decoder = new Decoder(ort as never, session, config, 'float32', probe);
  const figures: RoutingFigures[] = [];
  for (const name of variants) {
    const policy = ROUTING_VARIANTS[name];
    // Before the plugin: it takes WebGPU's methods as it finds them.
    const meter = new WebGpuMeter();
    const around = new RunTimer();
    const uncover = around.cover(decoder.pipeline.model.sessions.model!, 'inner');
    const sift = await enableSift(decoder.pipeline, { device, policy, siftFrom: 0 });
    around.cover(decoder.pipeline.model.sessions.model!, 'outer');
    try {
      meter.attach(device);
      const ours = await run(decoder, meter, around, steps, true);
      const stock = await run(decoder, meter, around, Math.ceil(steps / 3), false);
      const layers = config.num_hidden_layers;
      const quick = (list: number[]) =>
        [...list].sort((a, b) => a - b)[Math.floor(list.length / 10)]! / layers;
      figures.push({
        name,
        layers,
        own: quick(ours.map((s) => s.own)),
        routing: quick(ours.map((s) => s.routing)),
        around: quick(ours.map((s) => s.around)),
        ours: quick(ours.map((s) => s.ours)),
        oursCalls: quick(ours.map((s) => s.oursCalls)),
        stock: quick(stock.map((s) => s.stock)),
        stockCalls: quick(stock.map((s) => s.stockCalls)),
        seen: quick(ours.map((s) => s.seen)),
        created: ours.reduce((sum, s) => sum + s.created, 0),
        milliseconds: quick(ours.map((s) => s.milliseconds)) * layers,
      });
      const report = await sift.report();
      const routed = report.steps.dense + report.steps.sifted;
      log(`the meter: ${meter.perCall.toFixed(3)} us a call, subtracted`);
      log(`${name}: ${JSON.stringify(figures.at(-1))}; ${routed} steps, ${JSON.stringify(report.reasons)}`);
    } finally {
      meter.release();
      sift.dispose();
      meter.detach();
      uncover();
    }
  }
  return figures;
}

interface Sample {
  own: number;
  routing: number;
  around: number;
  ours: number;
  oursCalls: number;
  stock: number;
  stockCalls: number;
  created: number;
  seen: number;
  milliseconds: number;
}

/** Decodes; with `route` false the runtime's own attention stays, and its dispatches are timed. */
async function run(
  decoder: Decoder,
  meter: WebGpuMeter,
  around: RunTimer,
  steps: number,
  route: boolean,
): Promise<Sample[]> {
  const original = StepHandler.prototype.dispatch;
  let routing = 0;
  let created = 0;
  const creates = countCreated(() => {
    if (meter.routed) created++;
  });
  StepHandler.prototype.dispatch = function (dispatch) {
    if (!route) {
      const { program } = dispatch;
      meter.isStock = program !== undefined && isMatched(program) && program.role !== 'copy';
      return false;
    }
    const [before, calls] = [meter.ours.microseconds, meter.ours.calls];
    meter.routed = true;
    const start = performance.now();
    const replaced = original.call(this, dispatch);
    const time = 1000 * (performance.now() - start);
    meter.routed = false;
    if (replaced)
      routing += time - (meter.ours.microseconds - before) - meter.perCall * (meter.ours.calls - calls);
    return replaced;
  };
  const samples: Sample[] = [];
  try {
    let outputs = await decoder.forward(
      decoder.inputs(
        Array.from({ length: PROMPT }, (_, i) => 1 + i),
        PROMPT,
      ),
    );
    for (let step = 0; step < SETTLE + steps; step++) {
      routing = 0;
      created = 0;
      const before = outputs;
      meter.start();
      const start = performance.now();
      outputs = await decoder.forward({
        ...decoder.inputs([1 + ((step * 131) % 8000)], PROMPT + step + 1),
        past_key_values: decoder.pastOf(before),
      });
      const milliseconds = performance.now() - start;
      meter.stop();
      for (const tensor of Object.values(before)) if (tensor.location === 'gpu-buffer') tensor.dispose();
      if (step < SETTLE) continue;
      const { outer, inner, ours, stock } = meter;
      samples.push({
        own: outer.microseconds - inner.microseconds - meter.perCall * inner.calls,
        routing,
        around: around.microseconds,
        ours: ours.microseconds,
        oursCalls: ours.calls,
        stock: stock.microseconds,
        stockCalls: stock.calls,
        created,
        seen: outer.calls,
        milliseconds,
      });
    }
    for (const tensor of Object.values(outputs)) if (tensor.location === 'gpu-buffer') tensor.dispose();
  } finally {
    StepHandler.prototype.dispatch = original;
    creates();
  }
  return samples;
}

/** Times what is put around the runtime's `session.run`. */
class RunTimer {
  private readonly at = { start: 0, enter: 0, exit: 0, end: 0 };

  get microseconds(): number {
    const { start, enter, exit, end } = this.at;
    return 1000 * (enter - start + (end - exit));
  }

  /** Notes the times of a session's `run` as it is now; returns what takes this away. */
  cover(session: OrtSession, side: 'inner' | 'outer'): () => void {
    const { at } = this;
    const [before, after] = side === 'inner' ? (['enter', 'exit'] as const) : (['start', 'end'] as const);
    const run = session.run.bind(session);
    return shadowMethod(session, 'run', (...args) => {
      at[before] = performance.now();
      return run(...args).then((outputs) => {
        at[after] = performance.now();
        return outputs;
      });
    });
  }
}

/** Calls `seen` for every bind group and buffer made; returns what ends it. */
function countCreated(seen: () => void): () => void {
  const { prototype } = GPUDevice;
  const { createBindGroup, createBuffer } = prototype;
  prototype.createBindGroup = function (descriptor) {
    seen();
    return createBindGroup.call(this, descriptor);
  };
  prototype.createBuffer = function (descriptor) {
    seen();
    return createBuffer.call(this, descriptor);
  };
  return () => Object.assign(prototype, { createBindGroup, createBuffer });
}

export function routingMarkdown(figures: readonly RoutingFigures[]): string {
  const f = (x: number) => x.toFixed(1);
  return [
    '| step | plugin, all interceptions | of it routing | around session.run | WebGPU for our dispatches (calls) | stock attention dispatches, not made (calls) | bind groups and buffers made |',
    '|---|---|---|---|---|---|---|',
    ...figures.map(
      (r) =>
        `| ${r.name} | ${f(r.own)} | ${f(r.routing)} | ${f(r.around)} | ${f(r.ours)} (${f(r.oursCalls)}) | ${f(r.stock)} (${f(r.stockCalls)}) | ${r.created} |`,
    ),
  ].join('\n');
}
