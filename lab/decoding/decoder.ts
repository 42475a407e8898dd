import type { HubModel, HubTensor } from '../../src/adapters/transformers/runtime.ts';

/** What a pass puts out: the logits, and the present tensors, which hold the KV cache. */
export type Outputs = Record<string, HubTensor>;

/** Runs given tokens through a model: a transformers.js pipeline, or a session that looks like one. */
export interface Decoder {
  /** What `enableSift` takes. */
  readonly model: HubModel;
  /** Tokens that a prompt may have at once; longer ones run in parts. Without it there is no limit. */
  chunk?: number;
  /** Input tensors of some tokens in a sequence of `total`. */
  inputs(tokens: readonly number[], total: number): Outputs;
  /** One pass; `past_key_values` among the inputs are the tensors that {@link pastOf} gives. */
  forward(inputs: Record<string, unknown>): Promise<Outputs>;
  /** The present tensors of a pass, as the next pass takes them; `length` tokens have run. */
  pastOf(outputs: Outputs, length: number): Outputs;
}

/** Frees the tensors of a pass that lie on the GPU. */
export function free(outputs: Outputs): void {
  for (const tensor of Object.values(outputs)) if (tensor.location === 'gpu-buffer') tensor.dispose();
}

/** The device that onnxruntime-web has made, of the runtime's own `env` or of transformers.js' `env.backends.onnx`. */
export const runtimeDevice = async (env: object): Promise<GPUDevice> =>
  await (env as { webgpu: { device: Promise<GPUDevice> } }).webgpu.device;
