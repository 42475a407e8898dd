import {
  type HubModel,
  type HubTensor,
  type HubTensorClass,
  type ModelInputs,
  tensorClassOf,
} from '../runtime.ts';
import { plain, same } from './plain-tensor.ts';

/** The method of a model that makes the inputs of the next step, the attention mask among them. */
export const UPDATE = '_update_model_kwargs_for_generation';

/** Masks that the function is tried on, by rows. */
const TRIED: readonly bigint[][][] = [
  [[0n]],
  [
    [0n, 1n, 0n],
    [1n, 0n, 1n],
  ],
];

/** The class of the library that all its models extend: the one that has the update function, if it has `generate`, too. */
export function baseOf(model: HubModel): Partial<HubModel> | undefined {
  let base: object | null = Object.getPrototypeOf(model);
  while (base && !Object.hasOwn(base, UPDATE)) base = Object.getPrototypeOf(base);
  return base && Object.hasOwn(base, 'generate') ? base : undefined;
}

/**
 * Why a model's update function is not the known one, which puts a column of ones behind the mask; undefined if it is.
 *
 * Builds are minified, so it is known by what it does. But a model class or a user may have a function that does the same with short
 * masks, and something else with long ones. Therefore it must also be that of the base class; no other is called.
 */
export function whyUnknown(model: HubModel): string | undefined {
  if (Object.hasOwn(model, UPDATE) || !baseOf(model)) return 'the model has a function of its own for it';
  try {
    const Tensor = tensorClassOf(model);
    return TRIED.every((rows) => addsOnes(model, rows, Tensor))
      ? undefined
      : 'what this version of the library does for it is not known';
  } catch (error) {
    return `its function for it fails: ${error instanceof Error ? error.message : error}`;
  }
}

/** Whether the update function does what is known of it, on inputs that nobody else has. */
function addsOnes(model: HubModel, rows: readonly bigint[][], Tensor: HubTensorClass): boolean {
  const mask = new Tensor('int64', BigInt64Array.from(rows.flat()), [rows.length, rows[0]!.length]);
  const model_inputs: ModelInputs = { attention_mask: mask };
  const tokens = rows.map((_, row) => [BigInt(row + 3)]);
  const updated = model[UPDATE]({
    generated_input_ids: tokens,
    outputs: {},
    model_inputs,
    is_encoder_decoder: false,
  });
  const grown = rows.map((row) => [...row, 1n]);
  return (
    updated === model_inputs &&
    same(Object.keys(updated).sort(), ['attention_mask', 'input_ids', 'past_key_values', 'position_ids']) &&
    updated.position_ids === null &&
    holds(updated.input_ids, tokens) &&
    holds(updated.attention_mask, grown) &&
    holds(mask, rows)
  );
}

/** Whether a tensor is plain and has these rows. */
function holds(tensor: HubTensor | undefined, rows: readonly bigint[][]): boolean {
  const inner = plain(tensor);
  return (
    inner !== undefined && same(inner.dims, [rows.length, rows[0]!.length]) && same(inner.data, rows.flat())
  );
}
