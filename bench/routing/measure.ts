// What the plugin costs in JavaScript. The WebGPU calls of a whole decode step are recorded while the runtime makes them. Then they are
// made again many times, with the plugin and without it. This runs in Node and in a browser.
import { runtimeDevice } from '../../lab/decoding/decoder.ts';
import { type DecoderConfig, SessionDecoder } from '../../lab/decoding/session-decoder.ts';
import { markdownTable } from '../../lab/markdown.ts';
import type { OrtModule } from '../../lab/node/onnxruntime.ts';
import { heldCalls, replay, replayPass } from '../../lab/webgpu-calls/replay.ts';
import { enableSift, learnedPolicy, probabilityPolicy, uniformPolicy } from '../../src/index.ts';
import { passCalls, recordStep } from './recorded-step.ts';
import { RunTimer } from './run-timer.ts';

export interface RoutingModel {
  bytes: Uint8Array;
  config: DecoderConfig;
}

/** Figures of one kind of step. Times are microseconds a layer. */
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
  /** The plugin's JavaScript around the runtime's `session.run`, where it finds the cache and makes views of it. It is not part of `own`. */
  around: number;
  /** The runtime's `session.run` with the plugin, from its call until all is submitted. */
  encoding: number;
  /** The runtime's calls on its passes alone, with bind groups that were made before. */
  held: number;
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
  /** How often a step is made again with the plugin, and without it. */
  steps: number;
  variants: readonly RoutingVariant[];
  log(text: string): void;
}

/** The time at the quickest tenth: whatever else the machine does can only add to a time. */
function quick(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 10)]!;
}

/** Runs every variant and gives its figures. */
export async function measureRouting(
  ort: OrtModule,
  { bytes, config }: RoutingModel,
  { steps, variants, log }: RoutingOptions,
): Promise<RoutingFigures[]> {
  const decoder = await SessionDecoder.open(ort, bytes, config, 'float32');
  const device = await runtimeDevice(ort.env);
  const layers = config.num_hidden_layers;
  const figures: RoutingFigures[] = [];
  for (const name of variants) {
    const timer = new RunTimer();
    const inner = timer.cover(decoder.session, 'inner');
    const sift = await enableSift(decoder.model, {
      device,
      policy: ROUTING_VARIANTS[name],
      siftFrom: 0,
    });
    const outer = timer.cover(decoder.session, 'outer');
    const step = await recordStep(decoder, device, timer);
    outer.remove();
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
    inner.remove();
    const held = heldCalls(device, step.calls);
    const heldTimes: number[] = [];
    for (let i = 0; i < steps; i++) {
      times.stock.push(replay(device, step.calls));
      heldTimes.push(replayPass(device, held));
      await device.queue.onSubmittedWorkDone();
    }
    const us = (list: readonly number[]) => (1000 * quick(list)) / layers;
    const [stock, plugin, ours, gone] = [us(times.stock), us(times.plugin), us(times.ours), us(replaced)];
    figures.push({
      ...{ name, layers, stock, plugin, ours, replaced: gone, own: plugin - stock - (ours - gone) },
      oursCalls: pass.ours.length / layers,
      replacedCalls: pass.replaced.length / layers,
      around: us(step.around),
      encoding: us(step.encoding),
      held: us(heldTimes),
      seen: step.calls.length / layers,
      created: pass.created,
    });
    log(`${name}: ${JSON.stringify(figures.at(-1))}`);
  }
  return figures;
}

export function routingMarkdown(figures: readonly RoutingFigures[]): string {
  const f = (x: number) => x.toFixed(1);
  const head = ['step', "runtime's calls", 'with the plugin', 'our dispatches (calls)'];
  const others = ['those they stand for (calls)', "plugin's own JavaScript", 'around session.run'];
  const rows = figures.map((r) => [
    ...[r.name, `${f(r.stock)} (${f(r.seen)})`, f(r.plugin), `${f(r.ours)} (${f(r.oursCalls)})`],
    ...[`${f(r.replaced)} (${f(r.replacedCalls)})`, `**${f(r.own)}**`, f(r.around), r.created],
    ...[f(r.encoding), f(r.held)],
  ]);
  const made = 'bind groups and buffers made';
  return markdownTable([...head, ...others, made, 'session.run until submitted', 'bind groups held'], rows);
}
