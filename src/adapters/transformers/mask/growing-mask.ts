import type { HubTensor } from '../runtime.ts';
import { type PlainTensor, tensorLike } from './plain-tensor.ts';

/** Columns that an array has room for, at least. */
const ROOM = 1024;

/**
 * The attention mask of one generation, to which each step adds a column.
 *
 * The mask of a single sequence is a view of an array that has room for more, so that a step writes one element. Masks that were handed
 * out keep their values, because only what lies behind the newest is written. In a batch every row moves with each step, so rows are
 * copied to a new array.
 */
export class GrowingMask {
  /** The position of a text's first token, as it was seen in this generation; undefined until then, or if positions follow no such rule. */
  start: number | undefined;
  private array = new BigInt64Array(0);

  /**
   * Adds a column to the newest mask, or to the one that the generation begins with, which stays as it is.
   * @param kin a tensor of the class that the new one shall have
   */
  append(kin: HubTensor, mask: PlainTensor, column: BigInt64Array): HubTensor {
    const [batch, length] = mask.dims;
    const data = batch === 1 ? this.extend(mask.data, column[0]!) : copyRows(mask, column);
    return tensorLike(kin, data, [batch, length + 1]);
  }

  private extend(newest: BigInt64Array, value: bigint): BigInt64Array {
    const { length } = newest;
    if (newest.buffer !== this.array.buffer || length === this.array.length) {
      this.array = new BigInt64Array(Math.max(ROOM, 2 * length));
      this.array.set(newest);
    }
    this.array[length] = value;
    return this.array.subarray(0, length + 1);
  }
}

function copyRows({ dims: [batch, length], data }: PlainTensor, column: BigInt64Array): BigInt64Array {
  const grown = new BigInt64Array(batch * (length + 1));
  for (let row = 0; row < batch; row++) {
    const to = row * (length + 1);
    grown.set(data.subarray(row * length, (row + 1) * length), to);
    grown[to + length] = column[row]!;
  }
  return grown;
}
