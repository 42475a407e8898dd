import pagedSource from '../../wgsl/kv-paged.wgsl?raw';
import type { KvLayout } from './kv-layout.ts';

/**
 * K and V of one sequence (batch 1) in pages, [pages, 2, kvHeads, pageSize, headSize]: `keys` and `values` are the same buffer,
 * and `LayerInputs.kv` is the page table, i32, whose first entry `StepInputs.capacity` names.
 *
 * @param pageSize keys of a page
 */
export function pagedKv(pageSize: number): KvLayout {
  return {
    name: `paged ${pageSize}`,
    source: `const PAGE = ${pageSize}u;\n${pagedSource}`,
    bindings: 1,
    merges: true,
  };
}
