import { Sequence } from '../../lab/decoding/sequence.ts';
import type { SessionDecoder } from '../../lab/decoding/session-decoder.ts';
import type { CallRecorder } from '../../lab/webgpu-calls/call-recorder.ts';
import { observe } from '../../lab/webgpu-calls/observe.ts';
import type { StepCalls } from '../../lab/webgpu-calls/webgpu-call.ts';
import { type Interception, intercept } from '../../src/adapters/shared/interception.ts';
import type { OrtSession } from '../../src/adapters/transformers/runtime.ts';

/** stock: without the plugin. plugin: the KV cache in place, and our attention. */
export const REPEAT_VARIANTS = ['stock', 'plugin'] as const;
export type RepeatVariant = (typeof REPEAT_VARIANTS)[number];

export interface RunOptions {
  /** Tokens before the first decode step. */
  prompt: number;
  /** Decode steps before those that count, in which the runtime's pools settle. */
  settle: number;
  steps: number;
}

const tokenOf = (step: number): number => 1 + ((step * 131) % 8000);

/** Decodes, and gives the decode steps that count to `around`. */
async function decode(
  decoder: SessionDecoder,
  { prompt, settle, steps }: RunOptions,
  around: (step: () => Promise<void>, sequence: Sequence) => Promise<void>,
): Promise<void> {
  const sequence = new Sequence(decoder);
  await sequence.feed(Array.from({ length: prompt }, (_, i) => 1 + i));
  for (let i = 0; i < settle + steps; i++) {
    const step = async () => {
      await sequence.feed([tokenOf(i)]);
    };
    await (i < settle ? step() : around(step, sequence));
  }
  sequence.dispose();
}

/** Notes the WebGPU calls of decode steps. */
export async function recordSteps(
  decoder: SessionDecoder,
  recorder: CallRecorder,
  options: RunOptions,
): Promise<StepCalls[]> {
  const recorded: StepCalls[] = [];
  await decode(decoder, options, async (step, sequence) => {
    recorder.begin();
    await step();
    recorded.push({ length: sequence.length, calls: recorder.end() });
  });
  return recorded;
}

/** Times of decode steps in milliseconds. */
export interface EncodingTimes {
  /** From the call of `session.run` until the last commands were submitted: the work of the page's thread alone. */
  encode: number[];
  /** Until the logits were there. */
  whole: number[];
}

/** Times decode steps without noting their calls. */
export async function timeSteps(
  decoder: SessionDecoder,
  device: GPUDevice,
  options: RunOptions,
): Promise<EncodingTimes> {
  const times: EncodingTimes = { encode: [], whole: [] };
  const at = { start: 0, submitted: 0 };
  const interceptions: Interception[] = [
    observe(device.queue, 'submit', () => {
      at.submitted = performance.now();
    }),
    intercept(decoder.session as OrtSession, 'run', (run, interception) => (...args) => {
      if (interception.active) at.start = performance.now();
      return run.apply(decoder.session, args);
    }),
  ];
  await decode(decoder, options, async (step) => {
    await step();
    times.encode.push(at.submitted - at.start);
    times.whole.push(performance.now() - at.start);
  });
  for (const each of interceptions.reverse()) each.remove();
  return times;
}
