import type { WebGpuContext } from './engine.ts';
import type { PagedProgram } from './paged-program.ts';

/** One launch of the runtime's decode attention, in our terms. */
export interface PagedCall {
  q: GPUBufferBinding;
  pages: GPUBufferBinding;
  table: GPUBufferBinding;
  /** Entries of the table's buffer before the sequence's own. */
  tableOffset: number;
  output: GPUBufferBinding;
  lse: GPUBufferBinding;
  scale: number;
}

/** Modes of TVM's `rotary_mode`: what is rotated before it is cached needs nothing here. */
const INLINE_ROTARY = 1;

/**
 * Reads the arguments of a launch.
 * @param length keys that the cache should hold
 * @returns the reason if they are not as expected.
 */
export function readPagedCall(
  program: PagedProgram,
  args: readonly number[],
  context: WebGpuContext,
  length: number,
): PagedCall | string {
  const { shape, pageSize } = program;
  const scalar = (name: string): number | undefined => {
    const index = program.args[name];
    return index === undefined ? undefined : Number(args[index]);
  };
  const batch = Number(args[program.batchArg]);
  if (batch !== 1) return `${batch} sequences at a time`;
  if (scalar('rotary_mode') === INLINE_ROTARY) return 'the keys are rotated in the attention (inline rotary)';
  const pages = scalar('nnz_pages');
  if (pages !== undefined && pages !== Math.ceil(length / pageSize))
    return `the page table has ${pages} pages where ${length} keys need ${Math.ceil(length / pageSize)}`;
  if ((scalar('pages_elem_offset') ?? 0) !== 0) return 'the pages do not begin at their buffer';
  const scale = scalar('sm_scale') ?? scalar('attn_score_scaling_factor')! / Math.sqrt(shape.headSize);
  if (!(scale > 0 && Number.isFinite(scale))) return `the scale is ${scale}`;

  const buffer = (name: string) => context.bufferTable[args[program.args[name]!]!];
  const [q, cache, table, output, lse] = [
    buffer('Q'),
    buffer('pages'),
    buffer('page_table_values'),
    buffer('output'),
    buffer('lse'),
  ];
  if (!q || !cache || !table || !output || !lse) return 'a buffer of the attention is not in the table';
  return {
    q: { buffer: q },
    pages: { buffer: cache },
    table: { buffer: table },
    tableOffset: scalar('page_values_elem_offset') ?? 0,
    output: { buffer: output },
    lse: { buffer: lse },
    scale,
  };
}
