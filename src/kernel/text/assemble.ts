import { type AttentionShape, shapeConstants } from '../shape.ts';
import { type ConstantValue, declareConstants, kernelConstants } from './constants.ts';
import type { Kernel } from './kernel.ts';
import type { WgslModule } from './module.ts';
import * as wgsl from './modules.ts';
import { bindingDeclarations, SHARED_DECLARATIONS } from './schema.ts';
import { unroll } from './unroll.ts';
import type { KernelVariant } from './variant.ts';

function storageModule(shape: AttentionShape): WgslModule {
  if (shape.dtype === 'f32') return wgsl.libStorageF32;
  return shapeConstants(shape).wordElements === 8 ? wgsl.libStorageF16x8 : wgsl.libStorageF16x4;
}

/** The constants that a text uses and does not declare itself, out of all there are. */
function needed(text: string, all: Readonly<Record<string, ConstantValue>>): Record<string, ConstantValue> {
  const own = new Set(Array.from(text.matchAll(/\b(?:const|alias)\s+(\w+)/g), ([, name]) => name));
  const used = new Set(Array.from(text.matchAll(/\b[A-Z]\w*/g), ([name]) => name));
  return Object.fromEntries(Object.entries(all).filter(([name]) => used.has(name) && !own.has(name)));
}

/**
 * Removes the comments of a file, but not the marks of loops. Unrolling would repeat the comments, and the
 * browser has to read the text. WGSL has no string literals, so that `//` always begins a comment.
 */
function withoutComments(code: string): string {
  return code.replace(/\s*\/\/(?! unroll$).*$/gm, '');
}

const textOf = (modules: readonly WgslModule[]) =>
  modules.map(({ text }) => withoutComments(text)).join('\n');

/** All modules of a kernel for one shape, in their order. */
export function modulesOf(kernel: Kernel, shape: AttentionShape, { kv }: KernelVariant): WgslModule[] {
  return [wgsl.libCommon, storageModule(shape), ...kernel.modules, ...(kernel.readsKv ? kv.modules : [])];
}

/**
 * The complete WGSL of a kernel for one shape.
 * @throws {Error} if a marked loop cannot be unrolled
 */
export function assemble(kernel: Kernel, shape: AttentionShape, variant: KernelVariant): string {
  const modules = modulesOf(kernel, shape, variant);
  const all = { ...kernelConstants(kernel, shape, variant), ...variant.kv.constants };
  const text = textOf(modules);
  const code = [
    declareConstants(needed(text, all)),
    SHARED_DECLARATIONS,
    bindingDeclarations(kernel.buffers),
    text,
  ].join('\n');
  // Subgroup operations are in loops and branches that all lanes of a subgroup enter together, since these
  // depend on whole slots and on subgroup votes. The uniformity analysis cannot know that.
  const head = variant.subgroupSize > 0 ? 'enable subgroups;\ndiagnostic(off, subgroup_uniformity);\n' : '';
  const f16 = modules.includes(wgsl.siftPairsF16) ? 'enable f16;\n' : '';
  return f16 + head + (variant.tuning.unrolled ? unroll(code, all) : code);
}

/** The WGSL that compares two attention outputs of one sequence (wgsl/proof/compare.wgsl). */
export function assembleComparison(shape: AttentionShape, workgroupSize: number): string {
  const { words } = shapeConstants(shape);
  const text = textOf([storageModule(shape), wgsl.proofCompare]);
  const constants = needed(text, { QUERY_HEADS: shape.queryHeads, WORDS: words, WG: workgroupSize });
  return `${declareConstants(constants)}\n${text}`;
}
