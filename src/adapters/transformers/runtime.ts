import { SiftError } from '../../errors.ts';

/** The parts of an onnxruntime tensor that are used. */
export interface OrtTensor {
  dims: readonly number[];
  type: string;
  location: string;
  gpuBuffer: GPUBuffer;
  /** Of tensors on the CPU. */
  data: TensorData;
  /** Brings the data to the CPU if they are elsewhere. */
  getData(): Promise<TensorData>;
  dispose(): void;
}

/** The typed arrays that the inputs of a decoder have. */
export type TensorData = BigInt64Array | Int32Array | Float32Array | Uint16Array | Uint8Array;

/** The parts of an onnxruntime InferenceSession that are used. */
export interface OrtSession {
  inputNames: readonly string[];
  outputNames: readonly string[];
  run(feeds: Record<string, OrtTensor>, ...rest: unknown[]): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
  config?: { device?: string; dtype?: string };
}

/** A tensor of transformers.js. */
export interface HubTensor {
  dims: readonly number[];
  location: string;
  ort_tensor: OrtTensor;
  dispose(): void;
}

/** The parts of a transformers.js model that are used. */
export interface HubModel {
  sessions: Record<string, OrtSession>;
  config: Record<string, unknown>;
  generation_config?: { max_new_tokens?: number | null; max_length?: number | null } | null;
  forward(inputs: Record<string, unknown>): Promise<Record<string, HubTensor>>;
  generate(...args: unknown[]): Promise<unknown>;
  /** Makes the inputs of the next step: the plugin takes the library's tensor class from them. */
  _update_model_kwargs_for_generation(state: {
    generated_input_ids: bigint[][];
    outputs: object;
    model_inputs: object;
    is_encoder_decoder: boolean;
  }): { input_ids: HubTensor };
}

/** A transformers.js text-generation pipeline, as far as it is used. */
export interface HubPipeline {
  task?: string;
  model: HubModel;
}

/** Name of the past key tensor of a layer: the hub's convention for decoder exports. */
const PAST_KEY = /^past_key_values\.(\d+)\.(?:decoder\.)?key$/;

/** Layer of a past key input, or undefined for any other input. */
export function layerOfPastKey(name: string): number | undefined {
  const match = PAST_KEY.exec(name);
  return match ? Number(match[1]) : undefined;
}

/** The present output that continues a past input. */
export function presentName(past: string): string {
  return past.replace('past_key_values', 'present');
}

/** The input that continues a present output: a KV cache, or another state, as of a convolution (`present_conv.0`). */
export function pastName(present: string): string {
  return present.startsWith('present_')
    ? present.replace('present_', 'past_')
    : present.replace('present', 'past_key_values');
}

/** Whether a value looks like a transformers.js pipeline with a decoder. */
export function isHubPipeline(target: unknown): target is HubPipeline {
  const model = (target as HubPipeline | null | undefined)?.model;
  return (
    typeof model?.forward === 'function' &&
    typeof model.generate === 'function' &&
    typeof model.sessions === 'object'
  );
}

/**
 * The session that decodes: the one with past keys among its inputs.
 * @throws {SiftError} `UNSUPPORTED_MODEL` if there is none, `NOT_WEBGPU_PIPELINE` if it runs elsewhere.
 */
export function findDecoder(pipeline: HubPipeline): OrtSession {
  const session = Object.values(pipeline.model.sessions).find((s) =>
    s.inputNames?.some((name) => layerOfPastKey(name) !== undefined),
  );
  if (!session) {
    throw new SiftError(
      'UNSUPPORTED_MODEL',
      'This pipeline has no decoder with a KV cache (no past_key_values inputs). enableSift takes text-generation pipelines.',
    );
  }
  const device = session.config?.device;
  if (device !== undefined && device !== 'webgpu') {
    throw new SiftError(
      'NOT_WEBGPU_PIPELINE',
      `This pipeline runs on "${device}". Create it with pipeline(task, model, { device: 'webgpu' }).`,
      { option: 'device', value: device, allowed: "'webgpu'" },
    );
  }
  return session;
}

interface HubEnvironment {
  backends: { onnx?: { webgpu?: { device?: unknown }; versions?: { web?: string } } };
}

/** The runtime's device and version. */
export interface RuntimeInfo {
  device: GPUDevice;
  version: string | undefined;
}

/**
 * Finds the GPUDevice that onnxruntime-web uses.
 * @throws {SiftError} `NO_WEBGPU` if there is no WebGPU here, or the device cannot be found.
 */
export async function findRuntime(given: GPUDevice | undefined): Promise<RuntimeInfo> {
  if (typeof GPUDevice === 'undefined') {
    throw new SiftError(
      'NO_WEBGPU',
      'There is no WebGPU here. It needs a current Chrome, Edge, Safari or Firefox, and a page served over https or from localhost.',
    );
  }
  let env: HubEnvironment | undefined;
  let cause: unknown;
  try {
    ({ env } = (await import('@huggingface/transformers')) as unknown as { env: HubEnvironment });
  } catch (error) {
    cause = error;
  }
  const onnx = env?.backends.onnx;
  const device = given ?? (await onnx?.webgpu?.device);
  if (!isDevice(device)) {
    throw new SiftError(
      'NO_WEBGPU',
      'The GPUDevice of onnxruntime-web was not found. Pass it: enableSift(pipeline, { device: await env.backends.onnx.webgpu.device }), with env imported from @huggingface/transformers.',
      { cause },
    );
  }
  return { device, version: onnx?.versions?.web };
}

function isDevice(value: unknown): value is GPUDevice {
  return typeof (value as GPUDevice | undefined)?.createComputePipelineAsync === 'function';
}
