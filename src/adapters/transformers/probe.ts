import { SiftError } from '../../errors.ts';
import { OutputComparison } from '../../kernel/compare.ts';
import type { AttentionEncoder, DeviceResources } from '../../kernel/encoder.ts';
import { planStep } from '../../kernel/params.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import { LayerState } from '../../kernel/state.ts';
import { defaultPolicy } from '../../tracker/index.ts';
import { type AttendCall, bufferOf, readAttendCall, shapeKey } from './attend-call.ts';
import { bufferOfEntry, type DeviceHook, type Dispatch, type DispatchHandler } from './device-hook.ts';
import { isMatched } from './program.ts';
import { type HubPipeline, type HubTensor, layerOfPastKey, presentName } from './runtime.ts';

/** Runs on the user's model before the first real use: what its attention looks like, and whether ours computes the same. */
export interface ProbeResult {
  shapes: AttentionShape[];
  reasons: string[];
}

/** Short, but long enough to end in a tile that is not full. */
const PROBE_TEXT =
  'The old house at the end of the quiet street had been empty for as long as anyone in the village could remember.';

/** Bounds of the difference between our dense kernel and the runtime's, relative to the largest output. */
const SHADOW_BOUND = { f32: 1e-4, f16: 2e-2 } as const;

/** Observes a decode step and changes nothing. */
class Observer implements DispatchHandler {
  readonly shapes = new Map<string, AttentionShape>();
  readonly reasons = new Set<string>();
  /** Buffers bound by pipelines that were compiled before the plugin listened. */
  readonly touchedByUnknown = new Set<GPUBuffer>();

  constructor(private readonly hook: DeviceHook) {}

  dispatch(dispatch: Dispatch): boolean {
    const { program, known, entries } = dispatch;
    for (const entry of known ? [] : entries) {
      const buffer = bufferOfEntry(entry)?.buffer;
      if (buffer) this.touchedByUnknown.add(buffer);
    }
    if (!program) return false;
    if (!isMatched(program)) {
      if (program.role !== 'copy') this.reasons.add(program.reason);
    } else if (program.role === 'attend') {
      const call = readAttendCall(dispatch, program, this.hook);
      if (typeof call === 'string') this.reasons.add(call);
      else this.shapes.set(shapeKey(call.shape), call.shape);
    }
    return false;
  }
}

interface ShadowKernel {
  encoder: AttentionEncoder;
  comparison: OutputComparison;
  state: LayerState;
  output: GPUBuffer;
}

/** Lets the runtime's attention run and ours after it into a buffer of its own, and compares. */
class Shadow implements DispatchHandler {
  compared = 0;
  private call: AttendCall | undefined;

  constructor(
    private readonly hook: DeviceHook,
    private readonly kernels: ReadonlyMap<string, ShadowKernel>,
  ) {}

  dispatch(dispatch: Dispatch): boolean {
    const { program, pass } = dispatch;
    if (!program || !isMatched(program)) return false;
    if (program.role === 'attend') {
      const call = readAttendCall(dispatch, program, this.hook);
      this.call = typeof call === 'string' ? undefined : call;
    } else if (program.role === 'reduce' && this.call) {
      const { call } = this;
      this.call = undefined;
      const kernel = this.kernels.get(shapeKey(call.shape));
      const stock = bufferOf(dispatch, program, 'output');
      if (!kernel || !stock || call.newTokens !== 1 || call.batch !== 1) return false;
      pass.dispatchWorkgroups(...dispatch.workgroups);
      const policy = defaultPolicy({ tau: 0 });
      const step = kernel.encoder.prepare({
        ...call,
        lengths: call.seqlens,
        lengthBias: 1,
        policy,
        plan: planStep(policy, 1),
      });
      kernel.encoder.attend(pass, step, call, kernel.state);
      kernel.encoder.combine(pass, step, { buffer: kernel.output }, kernel.state);
      kernel.comparison.encode(pass, { buffer: kernel.output }, stock);
      this.compared++;
      return true;
    }
    return false;
  }
}

async function withHandler<T>(hook: DeviceHook, handler: DispatchHandler, run: () => Promise<T>): Promise<T> {
  hook.handler = handler;
  try {
    return await run();
  } finally {
    hook.handler = undefined;
  }
}

type Outputs = Record<string, HubTensor>;

/** The present tensors of a step as the past of the next, as transformers.js passes them. */
function pastOf(outputs: Outputs, inputNames: readonly string[], length: number): Outputs {
  const past: Outputs = {};
  for (const name of inputNames) {
    const present = outputs[presentName(name)];
    if (name.startsWith('past_key_values') && present) past[name] = present;
  }
  Object.defineProperty(past, 'get_seq_length', { value: () => length });
  return past;
}

function disposeAll(outputs: Outputs | undefined): void {
  for (const tensor of Object.values(outputs ?? {})) if (tensor.location === 'gpu-buffer') tensor.dispose();
}

/**
 * Runs a short prompt and two decode steps through the model: the first shows which attention the runtime uses, in the second
 * ours runs beside it on the same data.
 *
 * @throws {SiftError} `LATE_ENABLE` if the attention was compiled before the plugin listened; `UNSUPPORTED_MODEL` if it is none
 * that can be sifted; `SELF_TEST_FAILED` if ours computes something else.
 */
export async function probe(
  pipeline: HubPipeline,
  inputNames: readonly string[],
  hook: DeviceHook,
  resources: DeviceResources,
  createEncoder: (shape: AttentionShape) => Promise<AttentionEncoder>,
): Promise<ProbeResult> {
  const { model } = pipeline;
  const encoded = pipeline.tokenizer(PROBE_TEXT);
  const ids = encoded.input_ids!;
  const length = ids.dims[1]!;
  const slice = (tensor: HubTensor, end: number) =>
    (tensor as unknown as { slice(...at: unknown[]): HubTensor }).slice(null, [0, end]);
  const at = (tensor: HubTensor, index: number) =>
    (tensor as unknown as { slice(...at: unknown[]): HubTensor }).slice(null, [index, index + 1]);
  const mask = encoded.attention_mask!;
  const forward = (index: number, past: Outputs) =>
    model.forward({
      input_ids: at(ids, index),
      attention_mask: slice(mask, index + 1),
      past_key_values: past,
    });

  let outputs: Outputs | undefined;
  const advance = async (next: Promise<Outputs>) => {
    const before = outputs;
    outputs = await next;
    disposeAll(before);
    return outputs;
  };
  try {
    const promptLength = length - 2;
    await advance(
      model.forward({ input_ids: slice(ids, promptLength), attention_mask: slice(mask, promptLength) }),
    );
    const observer = new Observer(hook);
    await withHandler(hook, observer, () =>
      advance(forward(promptLength, pastOf(outputs!, inputNames, promptLength))),
    );
    if (observer.shapes.size === 0) throw notSeen(observer, outputs!, inputNames);
    const result = { shapes: [...observer.shapes.values()], reasons: [...observer.reasons] };
    await compareWithStock(result, hook, resources, createEncoder, () =>
      advance(forward(promptLength + 1, pastOf(outputs!, inputNames, promptLength + 1))),
    );
    return result;
  } finally {
    disposeAll(outputs);
  }
}

async function compareWithStock(
  result: ProbeResult,
  hook: DeviceHook,
  resources: DeviceResources,
  createEncoder: (shape: AttentionShape) => Promise<AttentionEncoder>,
  runStep: () => Promise<unknown>,
): Promise<void> {
  const { device } = hook;
  const kernels = new Map<string, ShadowKernel & { shape: AttentionShape }>();
  for (const shape of result.shapes) {
    const bytes = shape.queryHeads * shape.headSize * 4;
    kernels.set(shapeKey(shape), {
      shape,
      encoder: await createEncoder(shape),
      comparison: await OutputComparison.create(device, shape),
      state: new LayerState(device, shape, 1, 1),
      output: device.createBuffer({ size: bytes, usage: GPUBufferUsage.STORAGE }),
    });
  }
  const shadow = new Shadow(hook, kernels);
  try {
    await withHandler(hook, shadow, runStep);
    if (shadow.compared === 0) {
      throw new SiftError(
        'UNSUPPORTED_MODEL',
        'The attention of a decode step changed from one step to the next.',
      );
    }
    for (const [key, kernel] of kernels) {
      const { relative, largest } = await kernel.comparison.read();
      if (!(relative <= SHADOW_BOUND[kernel.shape.dtype]) || !(largest > 0)) {
        throw new SiftError(
          'SELF_TEST_FAILED',
          `On this device our dense attention (${key}) differs from the runtime's by ${relative.toExponential(2)} of the largest output; allowed: ${SHADOW_BOUND[kernel.shape.dtype]}.`,
        );
      }
    }
  } finally {
    for (const { state, output } of kernels.values()) {
      state.destroy();
      output.destroy();
    }
    resources.scratch.collect();
  }
}

/** Why no attention was seen: it was compiled too early, or it is of another kind. */
function notSeen(observer: Observer, outputs: Outputs, inputNames: readonly string[]): SiftError {
  const key = inputNames.find((name) => layerOfPastKey(name) !== undefined);
  const tensor = key ? outputs[presentName(key)] : undefined;
  const present = tensor?.location === 'gpu-buffer' ? tensor.ort_tensor.gpuBuffer : undefined;
  if (present && observer.touchedByUnknown.has(present) && observer.reasons.size === 0) {
    return new SiftError(
      'LATE_ENABLE',
      'The attention of this model was compiled before enableSift was called. Call it right after pipeline(), before the first generation of any pipeline on this device; then reload the page.',
    );
  }
  const reasons =
    [...observer.reasons].join('; ') || 'its decode steps use no GroupQueryAttention in flash-decode form';
  return new SiftError('UNSUPPORTED_MODEL', `The attention of this model cannot be sifted: ${reasons}.`);
}
