import type { Decoder } from '../quality/pipeline.ts';
import { intercept } from '../src/adapters/shared/interception.ts';
import { SharedCache } from '../src/adapters/transformers/kv/shared-cache.ts';
import type { TensorClass } from '../src/adapters/transformers/kv/views.ts';
import type { HubTensor, OrtTensor } from '../src/adapters/transformers/runtime.ts';
import { StepHandler } from '../src/adapters/transformers/step-handler.ts';
import { enableSift, learnedPolicy } from '../src/index.ts';
import { createInputs, destroyInputs, type InputSet } from './inputs.ts';
import type { OrtModule } from './ort.ts';
import type { StepModel } from './step-model.ts';

/** stock; the KV cache in place with the runtime's attention; our attention on copied caches; both, every row kept; both. */
export const STEP_VARIANTS = ['stock', 'shared', 'sift', 'shared+dense', 'shared+sift'] as const;
export type StepVariant = (typeof STEP_VARIANTS)[number];

/** Learned in these steps, so that a turn stays short; the level is what 64 steps would find. */
const WARMUP = 16;
/** Steps before the timed ones: the warm-up, and a few for the runtime to settle. */
const SETTLE = WARMUP + 4;

/** A KV cache of `length` - 1 rows, standard normal, on the GPU. */
export interface Past {
  tensors: Record<string, HubTensor>;
  /** The runtime's tensor class. */
  Tensor: TensorClass;
  destroy(): void;
}

export async function createPast(
  ort: OrtModule,
  device: GPUDevice,
  model: StepModel,
  length: number,
  type: 'float16' | 'float32',
): Promise<Past> {
  const rows = length - 1;
  const sets = await createInputs(device, model.shape, rows, model.layers);
  const { kvHeads, headSize } = model.shape;
  const tensor = (buffer: GPUBuffer): HubTensor => {
    const ortTensor = ort.Tensor.fromGpuBuffer(buffer as never, {
      dataType: type,
      dims: [1, kvHeads, rows, headSize],
    }) as unknown as OrtTensor;
    return { dims: ortTensor.dims, location: 'gpu-buffer', ort_tensor: ortTensor, dispose: () => {} };
  };
  const tensors: Record<string, HubTensor> = {};
  sets.forEach(({ keys, values }: InputSet, layer) => {
    tensors[`past_key_values.${layer}.key`] = tensor(keys);
    tensors[`past_key_values.${layer}.value`] = tensor(values);
  });
  return { tensors, Tensor: ort.Tensor as unknown as TensorClass, destroy: () => destroyInputs(sets) };
}

export interface StepFigures {
  ms: number[];
  keptGroup: number | null;
  routingUs: number | null;
}

/** Decodes some steps under one variant and times them. */
export async function runVariant(
  variant: StepVariant,
  decoder: Decoder,
  device: GPUDevice,
  past: Past,
  length: number,
  steps: number,
): Promise<StepFigures> {
  const session = decoder.pipeline.model.sessions.model!;
  const routes = variant !== 'stock' && variant !== 'shared';
  const tau = variant === 'shared+dense' ? 0 : 0.875;
  const sift = routes
    ? await enableSift(decoder.pipeline, {
        device,
        siftFrom: 0,
        policy: learnedPolicy({ tau, warmup: WARMUP }),
        cache: variant === 'sift' ? 'stock' : 'shared',
      })
    : undefined;
  const shared = variant === 'shared' ? new SharedCache(device, session, past.Tensor) : undefined;
  const inPlace =
    shared &&
    intercept(
      session,
      'run',
      (run) =>
        (feeds, ...rest) =>
          shared.run(run.bind(session), feeds, rest),
    );
  const routing = timeRouting();
  try {
    const ms: number[] = [];
    let now = past.tensors;
    for (let step = 0; step < SETTLE + steps; step++) {
      if (step === SETTLE) routing.start();
      const token = 1 + ((step * 131) % 8000);
      const start = performance.now();
      const outputs = await decoder.forward({
        ...decoder.inputs([token], length + step),
        past_key_values: now,
      });
      if (step >= SETTLE) ms.push(performance.now() - start);
      for (const tensor of Object.values(now)) tensor.dispose();
      now = decoder.pastOf(outputs);
    }
    for (const tensor of Object.values(now)) tensor.dispose();
    const report = await sift?.report();
    const layers = Object.keys(past.tensors).length / 2;
    if (report?.reasons.some(({ reason }) => !/^warm-up$|tau 0/.test(reason))) {
      throw new Error(`${variant} did not route every step: ${JSON.stringify(report.reasons)}`);
    }
    return {
      ms,
      keptGroup: sift ? (report!.keptGroup ?? 1) : null,
      routingUs: sift ? (1000 * routing.total()) / steps / layers : null,
    };
  } finally {
    routing.stop();
    inPlace?.remove();
    sift?.dispose();
  }
}

/** Adds up the milliseconds that the routing of dispatches takes in JavaScript. */
function timeRouting(): { start(): void; total(): number; stop(): void } {
  const original = StepHandler.prototype.dispatch;
  let total = 0;
  StepHandler.prototype.dispatch = function (dispatch) {
    const start = performance.now();
    const replaced = original.call(this, dispatch);
    if (replaced) total += performance.now() - start;
    return replaced;
  };
  return {
    start: () => {
      total = 0;
    },
    total: () => total,
    stop: () => {
      StepHandler.prototype.dispatch = original;
    },
  };
}
