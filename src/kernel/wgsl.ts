import combineSource from '../../wgsl/combine.wgsl?raw';
import commonSource from '../../wgsl/common.wgsl?raw';
import compareSource from '../../wgsl/compare.wgsl?raw';
import gatherSource from '../../wgsl/gather.wgsl?raw';
import quantileSource from '../../wgsl/quantile.wgsl?raw';
import reduceSubgroupSource from '../../wgsl/reduce-subgroup.wgsl?raw';
import reduceWorkgroupSource from '../../wgsl/reduce-workgroup.wgsl?raw';
import scoresSource from '../../wgsl/scores.wgsl?raw';
import storageF16x4Source from '../../wgsl/storage-f16x4.wgsl?raw';
import storageF16x8Source from '../../wgsl/storage-f16x8.wgsl?raw';
import storageF32Source from '../../wgsl/storage-f32.wgsl?raw';
import thresholdSource from '../../wgsl/threshold.wgsl?raw';
import { CONTIGUOUS_KV, type KvLayout } from './kv-layout.ts';
import { type AttentionShape, shapeConstants } from './shape.ts';

/** The passes of a decode step, in order. `quantile` runs only while thresholds are learned. */
export type KernelName = 'scores' | 'quantile' | 'gather' | 'combine';

/** What a binding of a kernel is, in the order of its `@binding` numbers. */
export type BindingKind = 'params' | 'read' | 'write';

/** A kernel as a value: its own WGSL, its bindings and its workgroup size. */
export interface KernelSource {
  name: KernelName;
  source: string;
  /** Evaluates `log_threshold` of threshold.wgsl. */
  usesThreshold: boolean;
  /** Reads rows of K or V. */
  usesKv: boolean;
  bindings: readonly BindingKind[];
  workgroupSize: number;
}

export const KERNELS: Readonly<Record<KernelName, KernelSource>> = {
  scores: {
    name: 'scores',
    source: scoresSource,
    usesThreshold: false,
    usesKv: true,
    bindings: ['params', 'read', 'read', 'read', 'write', 'write'],
    workgroupSize: 128,
  },
  quantile: {
    name: 'quantile',
    source: quantileSource,
    usesThreshold: false,
    usesKv: false,
    bindings: ['params', 'read', 'read', 'read', 'write', 'write'],
    workgroupSize: 256,
  },
  gather: {
    name: 'gather',
    source: gatherSource,
    usesThreshold: true,
    usesKv: true,
    bindings: ['params', 'read', 'read', 'read', 'read', 'read', 'write', 'write'],
    workgroupSize: 128,
  },
  combine: {
    name: 'combine',
    source: combineSource,
    usesThreshold: true,
    usesKv: false,
    bindings: ['params', 'read', 'read', 'read', 'read', 'write', 'write', 'write'],
    workgroupSize: 128,
  },
};

function storageSource(shape: AttentionShape): string {
  if (shape.dtype === 'f32') return storageF32Source;
  return shapeConstants(shape).wordElements === 8 ? storageF16x8Source : storageF16x4Source;
}

/** The WGSL that compares two attention outputs of a shape. */
export function assembleCompare(shape: AttentionShape, workgroupSize: number): string {
  const { words } = shapeConstants(shape);
  const constants = { QUERY_HEADS: shape.queryHeads, WORDS: words, WG: workgroupSize };
  return [declare(constants), storageSource(shape), compareSource].join('\n');
}

function declare(constants: Record<string, number>): string {
  return Object.entries(constants)
    .map(([key, value]) => `const ${key} = ${value}u;`)
    .join('\n');
}

/**
 * The complete WGSL of a kernel for one shape.
 * @param subgroups use subgroup operations; the device must have the feature and its subgroups must divide 128.
 */
export function assemble(
  name: KernelName,
  shape: AttentionShape,
  subgroups: boolean,
  kv: KvLayout = CONTIGUOUS_KV,
): string {
  const kernel = KERNELS[name];
  const c = shapeConstants(shape);
  const lanes = Math.min(32, 2 ** Math.ceil(Math.log2(c.words)));
  const constants: Record<string, number> = {
    HEAD_SIZE: shape.headSize,
    QUERY_HEADS: shape.queryHeads,
    KV_HEADS: shape.kvHeads,
    GROUP: c.group,
    HEADS: c.heads,
    BLOCKS: c.blocks,
    WORDS: c.words,
    V4: c.wordElements / 4,
    WG: kernel.workgroupSize,
    LANES: lanes,
    // Keys that the gather lists at a time; with the weights of every head they fit 16 KB of workgroup memory.
    TILE: c.heads <= 4 ? 512 : 256,
  };
  return [
    subgroups ? 'enable subgroups;' : '',
    declare(constants),
    commonSource,
    storageSource(shape),
    subgroups ? reduceSubgroupSource : reduceWorkgroupSource,
    kernel.source,
    kernel.usesKv ? kv.source : '',
    kernel.usesThreshold ? thresholdSource : '',
  ].join('\n');
}
