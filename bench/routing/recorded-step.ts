import { Sequence } from '../../lab/decoding/sequence.ts';
import type { SessionDecoder } from '../../lab/decoding/session-decoder.ts';
import { observe, removeAll } from '../../lab/webgpu-calls/observe.ts';
import { type Call, type PassCall, record, replay } from '../../lab/webgpu-calls/replay.ts';
import { StepAccount } from '../../src/adapters/shared/conversation.ts';
import { type Interception, intercept } from '../../src/adapters/shared/interception.ts';
import type { DeviceHook } from '../../src/adapters/transformers/device-hook.ts';
import { LayerLocator } from '../../src/adapters/transformers/layer-locator.ts';
import { isMatched } from '../../src/adapters/transformers/program.ts';
import { StepHandler } from '../../src/adapters/transformers/step-handler.ts';
import type { RunTimer } from './run-timer.ts';

const PROMPT = 48;
/** Steps before the recorded one. The time around `session.run` is taken in the later half of them, when the runtime has settled. */
const SETTLE = 16;

export interface RecordedStep {
  calls: Call[];
  /** Milliseconds that the plugin took around `session.run`, in steps before the recorded one. */
  around: number[];
  /** Milliseconds of the runtime's `session.run` until all was submitted, in the same steps. */
  encoding: number[];
  /** Runs something while the plugin routes dispatches as it did in the step. */
  route<T>(run: () => T): T;
}

/** Decodes for a while and records a step. */
export async function recordStep(
  decoder: SessionDecoder,
  device: GPUDevice,
  timer: RunTimer,
): Promise<RecordedStep> {
  const around: number[] = [];
  const encoding: number[] = [];
  const queue = timer.coverQueue(device.queue);
  let handler: StepHandler | undefined;
  const sequence = new Sequence(decoder);
  await sequence.feed(Array.from({ length: PROMPT }, (_, i) => 1 + i));
  const tokenOf = (step: number) => 1 + ((step * 131) % 8000);
  for (let step = 0; step < SETTLE; step++) {
    await sequence.feed([tokenOf(step)]);
    if (step <= SETTLE / 2) continue;
    around.push(timer.milliseconds);
    encoding.push(timer.encoding);
  }
  queue.remove();
  const recording = record(device);
  const dispatches = observe(StepHandler.prototype, 'dispatch', (_, __, self) => {
    handler = self;
  });
  await sequence.feed([tokenOf(SETTLE)]);
  recording.stop();
  dispatches.remove();
  sequence.dispose();
  if (!handler) throw new Error('The step was not routed.');
  return { calls: recording.calls, around, encoding, route: routeAs(handler) };
}

/** A handler serves one step. To route a step again, another one is made from the parts of the one that was seen. */
function routeAs(handler: StepHandler): RecordedStep['route'] {
  const parts = handler as unknown as Record<
    'hook' | 'encoders' | 'conversation' | 'account' | 'locator',
    never
  >;
  const hook = parts.hook as DeviceHook;
  const { plan, length } = parts.account as StepAccount;
  return (run) => {
    const account = new StepAccount(plan, length);
    const next = new StepHandler(hook, parts.encoders, true, parts.conversation, account, {});
    // The layers' buffers are the same, and their attentions are counted anew.
    const { ofPast, ofPresent } = parts.locator as { ofPast: object; ofPresent: object };
    Object.assign(next, { locator: Object.assign(new LayerLocator({}), { ofPast, ofPresent }) });
    hook.claim(next);
    const result = run();
    hook.free(next);
    if (account.reasons.size > 0 || account.attended.size === 0)
      throw new Error(`Not routed: ${[...account.reasons].join('; ')}`);
    return result;
  };
}

/** A step's calls on compute passes, as far as they are about attention. */
export interface StepPassCalls {
  /** Those of the plugin's dispatches. */
  ours: PassCall[];
  /** Those of the runtime's dispatches that the plugin's stand for. */
  replaced: PassCall[];
  /** Bind groups and buffers that the plugin made. */
  created: number;
}

/** Routes a recorded step once more and notes the calls of the plugin. */
export function passCalls(device: GPUDevice, step: RecordedStep): StepPassCalls {
  const ours: PassCall[] = [];
  const replaced: PassCall[] = [];
  let created = 0;
  /** Whether the plugin is at work on a dispatch that it replaces. */
  let inside = false;
  const interceptions: Interception[] = [
    ...(['setPipeline', 'setBindGroup', 'dispatchWorkgroups'] as const).map((name) =>
      observe(GPUComputePassEncoder.prototype, name, (_, args) => {
        // The plugin writes the next dispatch's offsets to the same array.
        const copy = (args as unknown[]).map((a) => (a instanceof Uint32Array ? a.slice() : a));
        if (inside) ours.push({ name, args: copy });
      }),
    ),
    ...(['createBindGroup', 'createBuffer'] as const).map((name) =>
      observe(device, name, () => {
        if (inside) created++;
      }),
    ),
    intercept(
      StepHandler.prototype,
      'dispatch',
      (original, interception) =>
        function (this: StepHandler, dispatch) {
          if (!interception.active) return original.call(this, dispatch);
          const { program, pipeline, group } = dispatch;
          inside = program !== undefined && isMatched(program) && program.role !== 'copy';
          if (inside) {
            // How many workgroups it has does not change what the call costs.
            replaced.push({ name: 'setPipeline', args: [pipeline] });
            replaced.push({ name: 'setBindGroup', args: [0, group] });
            replaced.push({ name: 'dispatchWorkgroups', args: [1, 1, 1] });
          }
          const result = original.call(this, dispatch);
          inside = false;
          return result;
        },
    ),
  ];
  try {
    step.route(() => replay(device, step.calls));
  } finally {
    removeAll(interceptions);
  }
  return { ours, replaced, created };
}
