import type { KvLayout } from './kv-layout.ts';
import { libKvPaged } from './modules.ts';
import { reads } from './schema.ts';

/**
 * The layout of one sequence (batch 1) in pages, [pages, 2, kvHeads, pageSize, headSize]: K rows of a page,
 * then its V rows. `keys` and `values` are the same buffer. `page_table` is i32 and holds the sequence's
 * pages from entry `StepInputs.capacity` on.
 *
 * @param pageSize keys of a page
 */
export function pagedKv(pageSize: number): KvLayout {
  return {
    name: `paged ${pageSize}`,
    modules: [libKvPaged],
    constants: { PAGE: pageSize },
    buffers: [reads('page_table')],
    merges: true,
  };
}
