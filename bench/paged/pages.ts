import { download, upload } from '../../src/kernel/gpu/transfer.ts';
import type { AttentionShape } from '../../src/kernel/shape.ts';
import { createRandom } from '../../src/oracle/index.ts';
import { createInputs } from '../kernels/inputs.ts';

/** Keys of a page, as web-llm has it. */
export const PAGE_SIZE = 16;

/** The inputs of one step over a paged cache. */
export interface PagedSet {
  q: GPUBuffer;
  pages: GPUBuffer;
  table: GPUBuffer;
  /** Where in `pages` each page of the sequence lies. */
  order: readonly number[];
}

/** Makes `count` sets of inputs, whose pages lie in a random order. */
export async function createPagedSets(
  device: GPUDevice,
  shape: AttentionShape,
  length: number,
  count: number,
): Promise<PagedSet[]> {
  const random = createRandom(7);
  // K of twice the length is a buffer of normal numbers as large as K and V together. The V that comes with it is not needed.
  const inputs = await createInputs(device, shape, 2 * length, count);
  return inputs.map(({ q, keys, values }) => {
    values.destroy();
    const order = Array.from({ length: length / PAGE_SIZE }, (_, i) => i);
    for (let i = order.length - 1; i > 0; i--) {
      const j = random.integer(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return { q, pages: keys, table: upload(device, [0, order.length, PAGE_SIZE, 0, ...order], 'i32'), order };
  });
}

/** Where a table's buffer holds the first and last page, the number of keys on the last page, a zero, and the page numbers. */
export const TABLE = { indptr: 0, lengths: 2, zero: 3, values: 4 };

/** Reads the inputs of the first KV group out of a set's pages. */
export async function firstGroup(device: GPUDevice, shape: AttentionShape, length: number, set: PagedSet) {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const group = queryHeads / kvHeads;
  const pageElements = kvHeads * PAGE_SIZE * headSize;
  const pages = await download(device, set.pages, 2 * kvHeads * length * headSize, dtype);
  const rows = (half: number) => {
    const out = new Float32Array(length * headSize);
    for (const [i, page] of set.order.entries()) {
      const from = (page * 2 + half) * pageElements;
      out.set(pages.subarray(from, from + PAGE_SIZE * headSize), i * PAGE_SIZE * headSize);
    }
    return out;
  };
  return {
    q: await download(device, set.q, group * headSize, dtype),
    ...{
      k: rows(0),
      v: rows(1),
      batch: 1,
      queryHeads: group,
      kvHeads: 1,
      headSize,
      capacity: length,
      lengths: length,
    },
  };
}
