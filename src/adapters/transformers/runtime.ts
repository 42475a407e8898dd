import { invalidOption, SiftError } from '../../errors.ts';

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

/** The library's tensor class, which its models ask their inputs to be of. */
export type HubTensorClass = new (type: string, data: BigInt64Array, dims: number[]) => HubTensor;

/** The inputs of a model's next step. */
export interface ModelInputs {
  input_ids?: HubTensor;
  attention_mask?: HubTensor;
  /** Null: the library makes them from the mask. */
  position_ids?: HubTensor | null;
  past_key_values?: object | null;
}

/** What the inputs of the next step are made from. */
export interface UpdateState {
  generated_input_ids: bigint[][];
  outputs: object;
  model_inputs: ModelInputs;
  is_encoder_decoder: boolean;
}

/** The parts of a transformers.js model that are used. */
export interface HubModel {
  sessions: Record<string, OrtSession>;
  config: Record<string, unknown>;
  generation_config?: {
    max_new_tokens?: number | null;
    max_length?: number | null;
    eos_token_id?: number | number[] | null;
  } | null;
  forward(inputs: Record<string, unknown>): Promise<Record<string, HubTensor>>;
  generate(...args: unknown[]): Promise<unknown>;
  /** Makes the inputs of the next step: the plugin takes the library's tensor class from them. */
  _update_model_kwargs_for_generation(state: UpdateState): ModelInputs & { input_ids: HubTensor };
  /** Completes the inputs of a step before `forward` gets them. */
  prepare_inputs_for_generation?(...args: unknown[]): unknown;
}

/** The tensor class without an import of the library, which may be there more than once: of a tensor that the model makes. */
export function tensorClassOf(model: HubModel): HubTensorClass {
  const made = model._update_model_kwargs_for_generation({
    generated_input_ids: [[1n]],
    outputs: {},
    model_inputs: {},
    is_encoder_decoder: true,
  });
  return made.input_ids.constructor as unknown as HubTensorClass;
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

function isModel(target: unknown): target is HubModel {
  const model = target as HubModel | null | undefined;
  return (
    typeof model?.forward === 'function' &&
    typeof model.generate === 'function' &&
    typeof model.sessions === 'object'
  );
}

/**
 * The model of what `enableSift` was given: a pipeline, a model, or an object with one, such as `{ model, tokenizer }`.
 * @throws {SiftError} `INVALID_OPTION` if there is none
 */
export function findModel(target: unknown): HubModel {
  if (isModel(target)) return target;
  const inner = (target as { model?: unknown } | null | undefined)?.model;
  if (isModel(inner)) return inner;
  throw invalidOption(
    'target',
    target,
    'a pipeline or a model of @huggingface/transformers, an object `{ model }` with one, or an engine of @mlc-ai/web-llm',
  );
}

/**
 * The session that decodes: the one with past keys among its inputs.
 * @throws {SiftError} `UNSUPPORTED_MODEL` if there is none
 */
export function findDecoder({ sessions, config }: HubModel): OrtSession {
  if (config?.is_encoder_decoder) {
    throw new SiftError(
      'UNSUPPORTED_MODEL',
      'This model is an encoder-decoder. Its decoder attends to the states of the encoder, which the runtime does with programs that are not replaced: there is nothing that sifting could make faster.',
    );
  }
  const session = Object.values(sessions).find((s) =>
    s.inputNames?.some((name) => layerOfPastKey(name) !== undefined),
  );
  if (session) return session;
  throw new SiftError(
    'UNSUPPORTED_MODEL',
    'This model has no decoder with a KV cache (no past_key_values inputs): there is nothing that sifting could make faster.',
  );
}
