import type { HubTensor, HubTensorClass, OrtTensor } from '../runtime.ts';

/** A tensor of int64 on the CPU, [batch, length]: all that the plugin makes masks and positions from. */
export interface PlainTensor extends OrtTensor {
  readonly dims: readonly [batch: number, length: number];
  readonly data: BigInt64Array;
}

/** The plain tensor below one of the library's; undefined if it is another kind of tensor. */
export function plain(tensor: HubTensor | null | undefined): PlainTensor | undefined {
  const inner = tensor?.ort_tensor;
  return inner && isPlain(inner) ? inner : undefined;
}

/** Whether a tensor of the runtime's is plain, and not empty. */
export function isPlain(tensor: OrtTensor): tensor is PlainTensor {
  const { location, type, dims } = tensor;
  if (location !== 'cpu' || type !== 'int64' || dims.length !== 2) return false;
  const { data } = tensor;
  return data instanceof BigInt64Array && data.length > 0 && data.length === dims[0]! * dims[1]!;
}

/** A tensor of the class that another one has: the library may be there more than once. */
export function tensorLike(tensor: HubTensor, data: BigInt64Array, dims: number[]): HubTensor {
  return new (tensor.constructor as unknown as HubTensorClass)('int64', data, dims);
}

/** A column of a tensor: the first is 0, the last -1. */
export function columnOf({ dims: [batch, length], data }: PlainTensor, column: number): BigInt64Array {
  const at = column < 0 ? length + column : column;
  return BigInt64Array.from({ length: batch }, (_, row) => data[row * length + at]!);
}

export function same(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  return a.length === b.length && Array.prototype.every.call(a, (value, i) => value === b[i]);
}
