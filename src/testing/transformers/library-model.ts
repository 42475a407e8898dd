import { LlamaForCausalLM, Tensor } from '@huggingface/transformers';
import type { HubModel, HubTensor, OrtTensor } from '../../adapters/transformers/runtime.ts';
import type { Tensors } from '../../adapters/transformers/session-hook.ts';

const VOCABULARY = 16;

/** What a step was given, copied. */
export interface Fed {
  mask: bigint[];
  maskDims: number[];
  positions: bigint[] | undefined;
  /** What the library handed over, itself. */
  feeds: Tensors;
}

/** A real model of the library, on a session that computes nothing. */
export interface LibraryModel {
  model: HubModel;
  fed: Fed[];
  /** Generates; returns what each step was given. */
  generate(rows: readonly (readonly number[])[], count: number): Promise<Fed[]>;
}

/** A tensor of the library's, int64. */
export function int64(rows: readonly (readonly (number | bigint)[])[]): HubTensor {
  const data = BigInt64Array.from(rows.flat(), BigInt);
  return new Tensor('int64', data, [rows.length, rows[0]!.length]) as unknown as HubTensor;
}

/** The rows of an int64 tensor. */
export function rowsOf(tensor: HubTensor | null | undefined): bigint[][] {
  return (tensor as unknown as Tensor).tolist() as bigint[][];
}

/**
 * @param options.positions whether the session has the input `position_ids`
 * @param options.observe sees the inputs of each run before it is over
 */
export function libraryModel(
  options: { positions?: boolean; type?: string; observe?: (feeds: Tensors) => void } = {},
): LibraryModel {
  const fed: Fed[] = [];
  const session = {
    inputNames: ['input_ids', 'attention_mask', ...(options.positions ? ['position_ids'] : [])],
    inputMetadata: [],
    async run(feeds: Tensors): Promise<Tensors> {
      options.observe?.(feeds);
      const { attention_mask, input_ids, position_ids } = feeds as Record<string, OrtTensor>;
      fed.push({
        mask: [...(attention_mask!.data as BigInt64Array)],
        maskDims: [...attention_mask!.dims],
        positions: position_ids && [...(position_ids.data as BigInt64Array)],
        feeds,
      });
      const [batch, length] = input_ids!.dims as [number, number];
      const logits = new Float32Array(batch * length * VOCABULARY);
      // The library makes tensors of its own of those of the runtime that it has in Node. These need not be made.
      const made = (data: Float32Array, dims: number[]) =>
        new Tensor('float32', data, dims) as unknown as OrtTensor;
      const total = attention_mask!.dims[1]!;
      return {
        logits: made(logits, [batch, length, VOCABULARY]),
        'present.0.key': made(new Float32Array(batch * total), [batch, 1, total, 1]),
      };
    },
  };
  const config = { model_type: options.type ?? 'llama', is_encoder_decoder: false };
  const Model = LlamaForCausalLM as unknown as new (...args: unknown[]) => HubModel;
  const model = new Model(config, { model: session }, {});
  const generate = async (rows: readonly (readonly number[])[], count: number) => {
    const from = fed.length;
    await model.generate({
      inputs: int64(rows.map((row) => row.map((_, i) => i + 1))),
      attention_mask: int64(rows),
      max_new_tokens: count,
      do_sample: false,
    });
    return fed.slice(from);
  };
  return { model, fed, generate };
}
