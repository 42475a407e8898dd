// What the plugin costs in JavaScript: the WebGPU calls of a whole decode step of a decoder of many layers, recorded while the runtime
// makes them and made again with the plugin and without, in Node or a browser.
import type { InferenceSession } from 'onnxruntime-web';
import { Decoder, type DecoderConfig } from '../../quality/pipeline.ts';
import { StepAccount } from '../../src/adapters/shared/conversation.ts';
import { intercept } from '../../src/adapters/shared/interception.ts';
import type { DeviceHook } from '../../src/adapters/transformers/device-hook.ts';
import { isMatched } from '../../src/adapters/transformers/program.ts';
import type { OrtSession } from '../../src/adapters/transformers/runtime.ts';
import { StepHandler } from '../../src/adapters/transformers/step-handler.ts';
import { enableSift, learnedPolicy, probabilityPolicy, uniformPolicy } from '../../src/index.ts';
import { type Call, front, type PassCall, record, replay, replayPass } from './replay.ts';

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

/** Microseconds a layer. */
export interface RoutingFigures {
  name: string;
  layers: number;
  /** The runtime's calls of a step, without the plugin and with it. */
  stock: number;
  plugin: number;
  /** WebGPU's methods for our dispatches and for the runtime's that they stand for; and how many calls these are. */
  ours: number;
  oursCalls: number;
  replaced: number;
  replacedCalls: number;
  /** What the plugin's own JavaScript adds: the difference of the steps less that of the dispatches. */
  own: number;
  /** The plugin's JavaScript around the runtime's `session.run`: finding the cache, its views. Not in `own`. */
  around: number;
  /** Calls of the runtime that go through the plugin. */
  seen: number;
  /** Bind groups and buffers that the plugin made in a step. */
  created: number;
}

/** The kinds of a step. */
export const ROUTING_VARIANTS = {
  dense: probabilityPolicy({ p: 0 }),
  sifted: uniformPolicy({ c: 1 }),
  learning: learnedPolicy({ warmup: 4096 }),
};
export type RoutingVariant = keyof typeof ROUTING_VARIANTS;

export interface RoutingOptions {
  /** Times that a step is made again, in either way. */
  steps: number;
  variants: readonly RoutingVariant[];
  log(text: string): void;
}

const PROMPT = 48;
/** Steps before the one that is recorded, and whose time around `session.run` is taken. */
const SETTLE = 16;

/** The quickest tenth: what else the machine does only adds. */
function quick(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 10)]!;
}

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
  const decoder = new Decoder(ort as never, session, config, 'float32');
  const layers = config.num_hidden_layers;
  const figures: RoutingFigures[] = [];
  for (const name of variants) {
    const timer = new RunTimer();
    const model = decoder.pipeline.model.sessions.model!;
    const uncover = timer.cover(model, 'inner');
    const sift = await enableSift(decoder.pipeline, {
      device,
      policy: ROUTING_VARIANTS[name],
      siftFrom: 0,
    });
    timer.cover(model, 'outer');
    const step = await recordStep(decoder, device, timer);
    const times = { plugin: [] as number[], stock: [] as number[], ours: [] as number[] };
    const pass = passCalls(device, step);
    const replaced: number[] = [];
    for (let i = 0; i < steps; i++) {
      times.plugin.push(step.route(() => replay(device, step.calls)));
      times.ours.push(replayPass(device, pass.ours));
      replaced.push(replayPass(device, pass.replaced));
      await device.queue.onSubmittedWorkDone();
    }
    sift.dispose();
    uncover();
    for (let i = 0; i < steps; i++) {
      times.stock.push(replay(device, step.calls));
      await device.queue.onSubmittedWorkDone();
    }
    const us = (list: readonly number[]) => (1000 * quick(list)) / layers;
    const [stock, plugin, ours, gone] = [us(times.stock), us(times.plugin), us(times.ours), us(replaced)];
    figures.push({
      ...{ name, layers, stock, plugin, ours, replaced: gone, own: plugin - stock - (ours - gone) },
      oursCalls: pass.ours.length / layers,
      replacedCalls: pass.replaced.length / layers,
      around: us(step.around),
      seen: step.calls.length / layers,
      created: pass.created,
    });
    log(`${name}: ${JSON.stringify(figures.at(-1))}`);
  }
  return figures;
}

interface RecordedStep {
  calls: Call[];
  /** Milliseconds around `session.run`, of each step before. */
  around: number[];
  /** Runs something as the step ran: with a handler of its own. */
  route<T>(run: () => T): T;
}

/** Decodes for a while and records a step. */
async function recordStep(decoder: Decoder, device: GPUDevice, timer: RunTimer): Promise<RecordedStep> {
  const around: number[] = [];
  let handler: StepHandler | undefined;
  const { prototype } = StepHandler;
  const { dispatch } = prototype;
  const prompt = Array.from({ length: PROMPT }, (_, i) => 1 + i);
  let outputs = await decoder.forward(decoder.inputs(prompt, PROMPT));
  let recording: ReturnType<typeof record> | undefined;
  for (let step = 0; step <= SETTLE; step++) {
    if (step === SETTLE) {
      recording = record(device);
      prototype.dispatch = function (given) {
        handler = this;
        return dispatch.call(this, given);
      };
    }
    const before = outputs;
    outputs = await decoder.forward({
      ...decoder.inputs([1 + ((step * 131) % 8000)], PROMPT + step + 1),
      past_key_values: decoder.pastOf(before),
    });
    for (const tensor of Object.values(before)) if (tensor.location === 'gpu-buffer') tensor.dispose();
    if (step > SETTLE / 2 && step < SETTLE) around.push(timer.milliseconds);
  }
  recording!.stop();
  prototype.dispatch = dispatch;
  for (const tensor of Object.values(outputs)) if (tensor.location === 'gpu-buffer') tensor.dispose();
  if (!handler) throw new Error('The step was not routed.');
  // A handler serves one step; what it was made from serves the others.
  const parts = handler as unknown as Record<
    'hook' | 'encoders' | 'conversation' | 'account' | 'locator',
    never
  >;
  const hook = parts.hook as DeviceHook;
  const { plan, length } = parts.account as StepAccount;
  return {
    calls: recording!.calls,
    around,
    route: (run) => {
      const account = new StepAccount(plan, length);
      const next = new StepHandler(hook, parts.encoders, parts.conversation, account, {});
      Object.assign(next, { locator: parts.locator });
      hook.claim(next);
      const result = run();
      hook.free(next);
      if (account.reasons.size > 0) throw new Error(`Not routed: ${[...account.reasons].join('; ')}`);
      return result;
    },
  };
}

/** The calls on passes for our dispatches in a step, and the runtime's own that they stand for. */
function passCalls(
  device: GPUDevice,
  step: RecordedStep,
): { ours: PassCall[]; replaced: PassCall[]; created: number } {
  const ours: PassCall[] = [];
  const replaced: PassCall[] = [];
  let created = 0;
  let inside = false;
  const restore = (['setPipeline', 'setBindGroup', 'dispatchWorkgroups'] as const).map((name) =>
    front(
      GPUComputePassEncoder.prototype,
      name,
      (method) =>
        function (...args) {
          const copy = (args as unknown[]).map((a) => (a instanceof Uint32Array ? a.slice() : a));
          if (inside) ours.push({ name, args: copy });
          return method.apply(this, args);
        },
    ),
  );
  for (const name of ['createBindGroup', 'createBuffer']) {
    restore.push(
      front(
        device,
        name,
        (method) =>
          function (...args) {
            if (inside) created++;
            return method.apply(this, args);
          },
      ),
    );
  }
  restore.push(
    front(StepHandler.prototype, 'dispatch', (method) => {
      return function (...args) {
        const [dispatch] = args as unknown as Parameters<StepHandler['dispatch']>;
        const { program, pipeline, group } = dispatch;
        inside = program !== undefined && isMatched(program) && program.role !== 'copy';
        if (inside) {
          // The dispatch's size is of no account.
          replaced.push({ name: 'setPipeline', args: [pipeline] });
          replaced.push({ name: 'setBindGroup', args: [0, group] });
          replaced.push({ name: 'dispatchWorkgroups', args: [1, 1, 1] });
        }
        const result = method.apply(this, args);
        inside = false;
        return result;
      };
    }),
  );
  try {
    step.route(() => replay(device, step.calls));
  } finally {
    for (const undo of restore.reverse()) undo();
  }
  return { ours, replaced, created };
}

/** Times what is put around the runtime's `session.run`. */
class RunTimer {
  private readonly at = { start: 0, enter: 0, exit: 0, end: 0 };

  get milliseconds(): number {
    const { start, enter, exit, end } = this.at;
    return enter - start + (end - exit);
  }

  /** Notes the times of a session's `run` as it is now; returns what takes this away. */
  cover(session: OrtSession, side: 'inner' | 'outer'): () => void {
    const { at } = this;
    const [before, after] = side === 'inner' ? (['enter', 'exit'] as const) : (['start', 'end'] as const);
    const interception = intercept(session, 'run', (run) => async (...args) => {
      at[before] = performance.now();
      const outputs = await run.apply(session, args);
      at[after] = performance.now();
      return outputs;
    });
    return () => interception.remove();
  }
}

export function routingMarkdown(figures: readonly RoutingFigures[]): string {
  const f = (x: number) => x.toFixed(1);
  return [
    "| step | runtime's calls | with the plugin | our dispatches (calls) | those they stand for (calls) | plugin's own JavaScript | around session.run | bind groups and buffers made |",
    '|---|---|---|---|---|---|---|---|',
    ...figures.map(
      (r) =>
        `| ${r.name} | ${f(r.stock)} (${f(r.seen)}) | ${f(r.plugin)} | ${f(r.ours)} (${f(r.oursCalls)}) | ${f(r.replaced)} (${f(r.replacedCalls)}) | **${f(r.own)}** | ${f(r.around)} | ${r.created} |`,
    ),
  ].join('\n');
}
