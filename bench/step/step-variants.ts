import type { Outputs } from '../../lab/decoding/decoder.ts';
import { Sequence } from '../../lab/decoding/sequence.ts';
import type { SessionDecoder } from '../../lab/decoding/session-decoder.ts';
import type { OrtModule } from '../../lab/node/onnxruntime.ts';
import { intercept } from '../../src/adapters/shared/interception.ts';
import { SharedCache } from '../../src/adapters/transformers/kv/shared-cache.ts';
import type { TensorClass } from '../../src/adapters/transformers/kv/views.ts';
import type { HubTensor, OrtTensor } from '../../src/adapters/transformers/runtime.ts';
import { StepHandler } from '../../src/adapters/transformers/step-handler.ts';
import { enableSift, learnedPolicy } from '../../src/index.ts';
import { createInputs, destroyInputs, type InputSet } from '../kernels/inputs.ts';
import type { StepModel } from './step-model.ts';
import { timedDecoder } from './timed-decoder.ts';

/**
 * stock: without the plugin. shared: the KV cache in place, with the runtime's attention. sift: our attention, the cache copied as in stock.
 * shared+dense and shared+sift: the cache in place and our attention, with every row kept and with a learned threshold.
 */
export const STEP_VARIANTS = ['stock', 'shared', 'sift', 'shared+dense', 'shared+sift'] as const;
export type StepVariant = (typeof STEP_VARIANTS)[number];

/** Steps in which the threshold is learned. They are few, so that a turn stays short; 64 would find about the same level. */
const WARMUP = 16;
/** Steps before the timed ones: the warm-up, and a few in which the runtime settles. */
const SETTLE = WARMUP + 4;

/** A KV cache on the GPU, with standard normal numbers in it. */
export interface Past {
  /** The cache's tensors as if a pass had put them out. */
  outputs: Outputs;
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
  const outputs: Outputs = {};
  sets.forEach(({ keys, values }: InputSet, layer) => {
    outputs[`present.${layer}.key`] = tensor(keys);
    outputs[`present.${layer}.value`] = tensor(values);
  });
  return { outputs, Tensor: ort.Tensor as unknown as TensorClass, destroy: () => destroyInputs(sets) };
}

export interface StepFigures {
  ms: number[];
  keptGroup: number | null;
  routingUs: number | null;
}

/** Decodes some steps under one variant and times them. */
export async function runVariant(
  variant: StepVariant,
  decoder: SessionDecoder,
  device: GPUDevice,
  past: Past,
  length: number,
  steps: number,
): Promise<StepFigures> {
  const { session } = decoder;
  const routes = variant !== 'stock' && variant !== 'shared';
  const tau = variant === 'shared+dense' ? 0 : 0.875;
  const sift = routes
    ? await enableSift(decoder.model, {
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
      (run, interception) =>
        (feeds, ...rest) =>
          interception.active
            ? shared.run(run.bind(session), feeds, rest)
            : run.call(session, feeds, ...rest),
    );
  const routing = timeRouting();
  try {
    const ms: number[] = [];
    const sequence = new Sequence(timedDecoder(decoder, ms), past.outputs, length - 1);
    for (let step = 0; step < SETTLE + steps; step++) {
      if (step === SETTLE) routing.start();
      await sequence.feed([1 + ((step * 131) % 8000)]);
    }
    sequence.dispose();
    const report = await sift?.report();
    const layers = Object.keys(past.outputs).length / 2;
    if (report?.reasons.some(({ reason }) => !/^warm-up$|tau 0/.test(reason))) {
      throw new Error(`${variant} did not route every step: ${JSON.stringify(report.reasons)}`);
    }
    return {
      ms: ms.slice(SETTLE),
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
  let total = 0;
  const timing = intercept(
    StepHandler.prototype,
    'dispatch',
    (original, interception) =>
      function (this: StepHandler, dispatch) {
        if (!interception.active) return original.call(this, dispatch);
        const start = performance.now();
        const replaced = original.call(this, dispatch);
        if (replaced) total += performance.now() - start;
        return replaced;
      },
  );
  return {
    start: () => {
      total = 0;
    },
    total: () => total,
    stop: () => timing.remove(),
  };
}
