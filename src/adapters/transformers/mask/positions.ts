import type { HubTensor } from '../runtime.ts';
import { type PlainTensor, plain, same, tensorLike } from './plain-tensor.ts';

/** Positions that the library gives to a text's first token: 1 in Gemma 3 and PaliGemma, else 0. */
const STARTS = [0, 1];

/** The positions of one new token for each row, [batch, 1]; undefined if they do not follow from the mask. */
export function positionsFor(mask: HubTensor, start: number): HubTensor | undefined {
  const inner = plain(mask);
  const positions = inner && positionsOf(inner, start);
  return positions && tensorLike(mask, positions, [positions.length, 1]);
}

/** From which start the positions that a step got follow from its mask; undefined if they do not. */
export function startOf(mask: PlainTensor, positions: PlainTensor): number | undefined {
  if (positions.dims[1] !== 1) return undefined;
  return STARTS.find((start) => {
    const expected = positionsOf(mask, start);
    return expected && same(expected, positions.data);
  });
}

/** How many ones each row has before its last one, counted from `start`. */
function positionsOf(mask: PlainTensor, start: number): BigInt64Array | undefined {
  const counts = countOnes(mask);
  return counts && BigInt64Array.from(counts, (ones) => BigInt(ones - 1 + start));
}

/**
 * The ones in each row of a mask; undefined if there is something else than zeros and ones, or if a row does not end with a one.
 *
 * They are counted at every step, because somebody may have written to the mask. What is read are the halves of elements, which takes
 * much less time than BigInts.
 */
function countOnes({ dims: [batch, length], data }: PlainTensor): number[] | undefined {
  // The low half comes first: WebAssembly, and so the runtime, has no other order.
  const halves = new Int32Array(data.buffer, data.byteOffset, 2 * data.length);
  const counts: number[] = [];
  let low = 0;
  let high = 0;
  for (let row = 0; row < batch; row++) {
    const end = 2 * (row + 1) * length;
    let ones = 0;
    for (let i = end - 2 * length; i < end; i += 2) {
      ones += halves[i]!;
      low |= halves[i]!;
      high |= halves[i + 1]!;
    }
    if (halves[end - 2] !== 1) return undefined;
    counts.push(ones);
  }
  return low === 1 && high === 0 ? counts : undefined;
}
