import { type AttentionShape, type DType, MAX_HEAD_SIZE } from '../../kernel/shape.ts';
import { readDeclarations, type WgslDeclarations } from '../shared/wgsl-declarations.ts';
import type { KernelInfo } from './engine.ts';
import type { WebLlmPatch } from './patch.ts';

/** The runtime's decode attention, understood. */
export interface PagedProgram {
  shape: AttentionShape;
  pageSize: number;
  /** Argument number of a launch by name: the handle of a binding, or a scalar. */
  args: Readonly<Record<string, number>>;
  /** Argument number of the batch: the grid's x. */
  batchArg: number;
}

/** Element type of a runtime-sized array, of a vector its component, and how many of those make an array element. */
function elementOf(type: string): { element: string; width: number } {
  const [, width, element] = /^array<(?:vec([234])<)?(\w+)>?>$/.exec(type) ?? [];
  return { element: element ?? type, width: width ? Number(width) : 1 };
}

/** The one value that all matches of a pattern's first group have. */
function constant(code: string, pattern: RegExp): number | undefined {
  const values = new Set([...code.matchAll(pattern)].map((match) => Number(match[1])));
  const [value] = values;
  return values.size === 1 && value !== undefined && value > 0 ? value : undefined;
}

const escaped = (name: string) => name.replace(/[^\w]/g, '\\$&');

/** Elements from one sequence to the next in a buffer: the first factor of its index expressions. */
function rowOf(code: string, name: string, width: number): number | undefined {
  const found = constant(code, new RegExp(`\\b${escaped(name)}\\[[(\\s]*\\w+\\s*\\*\\s*(\\d+)i`, 'g'));
  if (found === undefined || width === 1) return found;
  // The index of a vector is an element's divided by the width, or is counted in vectors throughout.
  const divided = new RegExp(`\\b${escaped(name)}\\[[^\\]]*/\\s*${width}i\\)?\\]`).test(code);
  return divided ? found : found * width;
}

/** Shape and page size, out of the constants that the compiler put into the addresses. */
function geometryOf(
  code: string,
  outputWidth: number,
): { queryHeads: number; kvHeads: number; headSize: number; pageSize: number } | string {
  const pageName = /\blet\s+(\w+)\s*:\s*i32\s*=\s*page_table_values\[/.exec(code)?.[1];
  const endName = /\blet\s+(\w+)\s*:\s*i32\s*=\s*page_table_indptr\[[^;]*\+\s*1i\)?\s*\]/.exec(code)?.[1];
  if (!pageName || !endName) return 'its WGSL does not read the page table as expected';
  const pageSize =
    constant(code, new RegExp(`\\b${endName}\\s*\\*\\s*(\\d+)i`, 'g')) ??
    2 ** (constant(code, new RegExp(`\\b${endName}\\s*<<\\s*(\\d+)u`, 'g')) ?? Number.NaN);
  const pageStride = constant(code, new RegExp(`\\b${pageName}\\s*\\*\\s*(\\d+)i`, 'g'));
  const queryHeads = rowOf(code, 'lse', 1);
  const outputRow = rowOf(code, 'output', outputWidth);
  if (!(pageSize > 0) || !pageStride || !queryHeads || !outputRow)
    return 'its WGSL does not tell page size, heads and head size';
  const headSize = outputRow / queryHeads;
  const kvHeads = pageStride / (2 * pageSize * headSize);
  const whole = [pageSize, headSize, kvHeads, queryHeads / kvHeads].every(Number.isInteger);
  if (!whole || headSize > MAX_HEAD_SIZE || headSize % 4 !== 0)
    return `${queryHeads} query heads, rows of ${outputRow} and pages of ${pageStride} elements do not fit together`;
  return { queryHeads, kvHeads, headSize, pageSize };
}

/**
 * Recognises the decode attention of a model library: bindings and scalars by name, never by position.
 * @returns the reason if it is not what the plugin understands.
 */
export function matchPaged(patch: WebLlmPatch, info: KernelInfo, code: string): PagedProgram | string {
  const { bindings, scalars, forbidden } = patch.attention;
  const refused = forbidden.find(({ pattern }) => pattern.test(code));
  if (refused) return refused.reason;
  let declared: WgslDeclarations;
  try {
    declared = readDeclarations(code);
  } catch (error) {
    return `its WGSL was not understood: ${error instanceof Error ? error.message : error}`;
  }
  const args: Record<string, number> = {};
  const handles = info.arg_types.flatMap((type, i) => (type === 'handle' ? [i] : []));
  const pods = info.arg_types.flatMap((type, i) => (type === 'handle' ? [] : [i]));
  let dtype: DType | undefined;
  let outputWidth = 1;
  for (const variable of declared.storage) {
    const wanted = Object.hasOwn(bindings, variable.name) ? bindings[variable.name] : undefined;
    if (!wanted) return `it has an unknown binding "${variable.name}"`;
    const { element, width } = elementOf(variable.type);
    if (wanted.element === 'T' ? element !== 'f32' && element !== 'f16' : element !== wanted.element)
      return `its binding "${variable.name}" is of ${element}`;
    if (wanted.element === 'T') {
      dtype ??= element as DType;
      if (dtype !== element) return `it mixes ${dtype} and ${element}`;
    }
    if (variable.access !== wanted.access) return `its binding "${variable.name}" is ${variable.access}`;
    const handle = handles[variable.binding];
    if (variable.group !== 0 || handle === undefined) return `its binding "${variable.name}" has no argument`;
    if (variable.name === 'output') outputWidth = width;
    args[variable.name] = handle;
  }
  const absent = Object.keys(bindings).find((name) => !(name in args));
  if (absent) return `it has no binding "${absent}"`;
  if (handles.length !== Object.keys(bindings).length) return `it takes ${handles.length} buffers`;

  const members = declared.uniforms[0]?.fields ?? [];
  if (members.length !== pods.length + 1)
    return `it takes ${pods.length} scalars, its WGSL has ${members.length}`;
  for (const [i, { name }] of members.entries()) {
    if (!scalars.includes(name)) return `it has an unknown scalar "${name}"`;
    if (i < pods.length) args[name] = pods[i]!;
  }
  if (!('sm_scale' in args) && !('attn_score_scaling_factor' in args)) return 'it has no scale';
  if (!('rotary_mode' in args) && /\bcos\s*\(/.test(code))
    return 'it rotates the keys itself (inline rotary)';

  const tags = info.launch_param_tags.filter((tag) => !tag.startsWith('paramWriteAccess'));
  const x = tags.indexOf('blockIdx.x');
  if (x < 0) return 'its grid has no x';
  const geometry = geometryOf(code, outputWidth);
  if (typeof geometry === 'string') return geometry;
  const { pageSize, ...heads } = geometry;
  return { shape: { ...heads, dtype: dtype! }, pageSize, args, batchArg: info.arg_types.length + x };
}
