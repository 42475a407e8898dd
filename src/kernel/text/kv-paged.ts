import type { KvLayout } from './kv-layout.ts';
import { libKvPaged } from './modules.ts';
import { reads } from './schema.ts';

/**
 * K and V of one sequence (batch 1) in pages, [pages, 2, kvHeads, pageSize, headSize]: `keys` and `values` are the same buffer, and
 * `page_table` is i32, whose first entry `StepInputs.capacity` names.
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
