import { SiftError } from '../../errors.ts';
import { OutputComparison } from '../../kernel/compare.ts';
import type { AttentionEncoder, DeviceResources } from '../../kernel/encoder.ts';
import { planStep } from '../../kernel/params.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import { LayerState } from '../../kernel/state.ts';
import { learnedPolicy } from '../../tracker/index.ts';
import { type AttendCall, bufferOf, readAttendCall, shapeKey } from './attend-call.ts';
import { bufferOfEntry, type DeviceHook } from './device-hook.ts';
import { proveSharedCache } from './kv/proof.ts';
import { SharedCache } from './kv/shared-cache.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { type Outputs, ProbeText } from './probe-text.ts';
import { isMatched } from './program.ts';
import { type HubPipeline, layerOfPastKey, type OrtSession, presentName } from './runtime.ts';

/** Runs on the user's model before the first real use: what its attention looks like, and whether ours computes the same. */
export interface ProbeResult {
  shapes: AttentionShape[];
  reasons: string[];
  /** A shared KV cache, if the model was proved to compute the same with one; or why there is none. */
  sharedCache: SharedCache | string;
}

/** Bounds of the difference between our dense kernel and the runtime's, relative to the largest output. */
const SHADOW_BOUND = { f32: 1e-4, f16: 2e-2 } as const;

/** Observes a decode step and changes nothing. */
class Observer implements DispatchHandler {
  readonly shapes = new Map<string, AttentionShape>();
  readonly reasons = new Set<string>();
  /** Layers whose attention was recognised. */
  layers = 0;
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
      else {
        this.shapes.set(shapeKey(call.shape), call.shape);
        this.layers++;
      }
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
      dispatch.encodeStock();
      const policy = learnedPolicy({ tau: 0 });
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

/**
 * Runs a short prompt and two decode steps through the model: the first shows which attention the runtime uses, in the second
 * ours runs beside it on the same data. Then the same on a shared KV cache, if one is wanted, which must give the same logits.
 *
 * @throws {SiftError} `LATE_ENABLE` if the attention was compiled before the plugin listened; `UNSUPPORTED_MODEL` if it is none
 * that can be sifted; `SELF_TEST_FAILED` if ours computes something else.
 */
export async function probe(
  pipeline: HubPipeline,
  session: OrtSession,
  hook: DeviceHook,
  resources: DeviceResources,
  createEncoder: (shape: AttentionShape) => Promise<AttentionEncoder>,
  wantsSharedCache: boolean,
): Promise<ProbeResult> {
  const text = new ProbeText(pipeline, session.inputNames);
  const observer = new Observer(hook);
  let result: Omit<ProbeResult, 'sharedCache'> | undefined;
  const stock = await text.decode([
    (run) => withHandler(hook, observer, run),
    async (run, outputs) => {
      if (observer.shapes.size === 0) throw notSeen(observer, outputs, session.inputNames);
      result = { shapes: [...observer.shapes.values()], reasons: [...observer.reasons] };
      await compareWithStock(result, hook, resources, createEncoder, run);
    },
  ]);
  if (!wantsSharedCache) return { ...result!, sharedCache: 'asked for' };
  const layers = session.inputNames.filter((name) => layerOfPastKey(name) !== undefined).length;
  const sharedCache = new SharedCache(hook.device, session, stock.Tensor);
  const obstacle =
    observer.layers < layers
      ? `${layers - observer.layers} layers use another attention of the runtime`
      : await proveSharedCache(session, sharedCache, text, stock.logits, sharedBound(result!.shapes));
  return { ...result!, sharedCache: obstacle ?? sharedCache };
}

/** The loosest bound of the model's types. */
function sharedBound(shapes: readonly AttentionShape[]): number {
  return Math.max(...shapes.map(({ dtype }) => SHADOW_BOUND[dtype]));
}

async function compareWithStock(
  result: Pick<ProbeResult, 'shapes'>,
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
      state: new LayerState(device, shape, 1, learnedPolicy({ tau: 0 })),
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
