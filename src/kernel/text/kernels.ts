import type { AttentionShape } from '../shape.ts';
import { codeVec } from './constants.ts';
import type { GridSize, Kernel, KernelName } from './kernel.ts';
import * as wgsl from './modules.ts';
import { reads, writes } from './schema.ts';
import type { KernelVariant } from './variant.ts';

/** One workgroup for each split, for every KV head and every block of its query heads. */
const bySplit = ({ splits, kvHeads, blocks, batch }: GridSize): [number, number, number] => [
  splits,
  kvHeads * blocks,
  batch,
];

/** The same, and one more workgroup beside the splits that prepares the corrections, where there are any. */
const bySplitAndCorrection = (size: GridSize): [number, number, number] => {
  const [x, y, z] = bySplit(size);
  return [size.corrects ? x + 1 : x, y, z];
};

/** What kernels depend on of a layer's shape, beside the constants that they are compiled with. */
type Layer = Pick<AttentionShape, 'headSize' | 'sinks'>;

/**
 * Invocations of a workgroup for the kernels in which each vec4f of a row needs an invocation of its own. Rows of more than 256 elements
 * have more vec4f than a software adapter's workgroups have invocations, so that these become larger.
 *
 * @param least invocations that the tuning asks for: a power of two
 * @returns a power of two, because reductions halve the workgroup
 */
function forWholeRow(least: number, { headSize }: Layer): number {
  return Math.max(least, 2 ** Math.ceil(Math.log2(headSize / 4)));
}

const INPUTS = [reads('lengths'), reads('q'), reads('keys'), reads('values')];
const SPLITS = [writes('split_softmax'), writes('split_output')];

/** What notes which V rows are read, where somebody wants to know it; and the buffer that it has then. */
const noting = (notesReads = false) => (notesReads ? wgsl.libReadsStored : wgsl.libReadsDropped);
const noted = (notesReads = false) => (notesReads ? [writes('read_bits')] : []);

/** Dense attention in one pass over the keys. Needs subgroups. */
function dense({ tuning }: KernelVariant): Kernel {
  return {
    name: 'dense',
    modules: [wgsl.libRows, wgsl.libLanes, wgsl.libFold, wgsl.dense, wgsl.denseScoresDropped],
    buffers: [...INPUTS, ...SPLITS],
    workgroupSize: tuning.denseWorkgroup,
    readsKv: true,
    rowsAtOnce: tuning.unroll,
    grid: bySplit,
  };
}

/** The dense kernel of steps that learn: it also stores the scores, as codes. */
function denseLearn(variant: KernelVariant): Kernel {
  return {
    ...dense(variant),
    name: 'denseLearn',
    modules: [
      wgsl.libRows,
      wgsl.libLanes,
      wgsl.libFold,
      wgsl.dense,
      wgsl.learnScoreCodes,
      wgsl.learnScoresStored,
    ],
    buffers: [...INPUTS, ...SPLITS, writes('scores', 'array<u32>')],
    pairsKeys: true,
  };
}

/**
 * Sifted attention in one pass over the keys: rows are chosen by an estimate of the log-normaliser. Needs
 * subgroups, and groups that one workgroup serves.
 */
function sift({ tuning, halfScreen, notesReads }: KernelVariant): Kernel {
  return {
    name: 'sift',
    modules: [
      wgsl.libRows,
      halfScreen ? wgsl.siftPairsF16 : wgsl.siftPairsF32,
      wgsl.siftScreen,
      wgsl.siftEstimate,
      wgsl.siftNormaliser,
      wgsl.siftSplit,
      wgsl.libThreshold,
      wgsl.libLayerState,
      wgsl.siftCorrection,
      wgsl.libLanes,
      wgsl.libFold,
      noting(notesReads),
      wgsl.sift,
      wgsl.siftQueue,
      wgsl.libNthBit,
    ],
    buffers: [...INPUTS, reads('layer_state'), ...SPLITS, ...noted(notesReads)],
    workgroupSize: tuning.siftWorkgroup,
    readsKv: true,
    rowsAtOnce: tuning.siftUnroll,
    grid: bySplitAndCorrection,
  };
}

/**
 * Sifted attention in one pass, where the shadow of K decides which rows are read. Needs what the sift kernel does, and a shadow that has
 * all rows but the newest edge keys.
 */
function shadow({ tuning, packedDot }: KernelVariant, layer: Layer): Kernel {
  return {
    name: 'shadow',
    modules: [
      wgsl.libRows,
      wgsl.libHadamard,
      ...shadowModules,
      packedDot ? wgsl.shadowByteDotPacked : wgsl.shadowByteDotUnpacked,
      codeVec(layer) === 4 ? wgsl.shadowCodesX4 : wgsl.shadowCodesX2,
      wgsl.shadowQuery,
      wgsl.shadowScores,
      wgsl.siftEstimate,
      wgsl.siftNormaliser,
      wgsl.siftSplit,
      wgsl.libThreshold,
      wgsl.libLayerState,
      wgsl.siftCorrection,
      wgsl.libLanes,
      wgsl.libFold,
      wgsl.shadow,
      wgsl.shadowRead,
    ],
    buffers: [
      ...INPUTS,
      reads('layer_state'),
      reads('shadow', `array<vec${codeVec(layer)}<u32>>`),
      ...SPLITS,
    ],
    workgroupSize: tuning.siftWorkgroup,
    readsKv: true,
    rowsAtOnce: tuning.shadowUnroll,
    grid: bySplitAndCorrection,
  };
}

const shadowModules = [wgsl.shadowLayout, wgsl.shadowStatistics, wgsl.shadowStatisticsRead];

/** Encodes rows of K into the shadow. Needs subgroups. */
function encode({ tuning }: KernelVariant): Kernel {
  return {
    name: 'encode',
    modules: [wgsl.libHadamard, wgsl.libLayerState, ...shadowModules, wgsl.libLanes, wgsl.shadowEncode],
    buffers: [reads('lengths'), reads('keys'), reads('layer_state'), writes('shadow')],
    workgroupSize: tuning.siftWorkgroup,
    readsKv: true,
    rowsAtOnce: 1,
    grid: ({ encodeRows, kvHeads, batch }, { SLOTS, ENCODE_TURNS }) => [
      // The first row is rounded down to a multiple of four.
      Math.ceil((encodeRows + 3) / (4 * (SLOTS as number) * (ENCODE_TURNS as number))),
      kvHeads,
      batch,
    ],
  };
}

/** Measures the moments of a cache, which the corrections for dropped rows come from. */
function moments({ tuning }: KernelVariant, layer: Layer): Kernel {
  return {
    name: 'moments',
    modules: [wgsl.libSpread, wgsl.libLayerState, wgsl.shadowStatistics, wgsl.siftMoments],
    buffers: [reads('lengths'), reads('keys'), reads('values'), writes('layer_state')],
    workgroupSize: forWholeRow(2 * tuning.combineWorkgroup, layer),
    readsKv: true,
    rowsAtOnce: 1,
    grid: ({ vecs, kvHeads, batch }) => [vecs, kvHeads, batch],
  };
}

/** First of the two passes of an exact step: every score, and the softmax of each split. */
function scores({ subgroupSize, tuning }: KernelVariant): Kernel {
  return {
    name: 'scores',
    modules:
      subgroupSize > 0
        ? [wgsl.libReduceSubgroup, wgsl.libRows, wgsl.exactScores]
        : [wgsl.libReduceWorkgroup, wgsl.portableScores],
    buffers: [reads('lengths'), reads('q'), reads('keys'), writes('scores'), writes('split_softmax')],
    workgroupSize: subgroupSize > 0 ? tuning.denseWorkgroup : 128,
    readsKv: true,
    rowsAtOnce: tuning.scoresUnroll,
    grid: bySplit,
  };
}

/**
 * Second pass: reads the V rows at or above the thresholds, by the exact log-normaliser that the scores give.
 */
function gather({ subgroupSize, tuning, notesReads }: KernelVariant): Kernel {
  const own =
    subgroupSize > 0
      ? [
          wgsl.libReduceSubgroup,
          wgsl.libLanes,
          wgsl.libFold,
          wgsl.exactGather,
          wgsl.libNthBit,
          wgsl.exactSoftmax,
        ]
      : [wgsl.libReduceWorkgroup, wgsl.portableGather, wgsl.portableSoftmax];
  return {
    name: 'gather',
    modules: [...own, noting(notesReads), wgsl.libThreshold, wgsl.libLayerState, wgsl.siftCorrection],
    buffers: [
      reads('lengths'),
      reads('scores'),
      reads('split_softmax'),
      reads('layer_state'),
      reads('values'),
      writes('split_output'),
      reads('q'),
      ...noted(notesReads),
    ],
    workgroupSize: tuning.gatherWorkgroup,
    readsKv: true,
    rowsAtOnce: tuning.gatherUnroll,
    grid: bySplitAndCorrection,
  };
}

/** Merges the splits and writes the output. After a sifted step it also updates the heads' figures. */
function combine({ subgroupSize, tuning, kv }: KernelVariant, layer: Layer): Kernel {
  return {
    name: 'combine',
    modules: [
      subgroupSize > 0 ? wgsl.libReduceSubgroup : wgsl.libReduceWorkgroup,
      wgsl.combine,
      wgsl.combineFigures,
      wgsl.libThreshold,
      kv.merges ? wgsl.combineLseStored : wgsl.combineLseDropped,
      layer.sinks ? wgsl.combineSinksRead : wgsl.combineSinksNone,
    ],
    buffers: [
      reads('lengths'),
      reads('split_softmax'),
      reads('split_output'),
      writes('layer_state'),
      writes('groups_state'),
      writes('output'),
      ...(kv.merges ? [writes('lse')] : []),
      ...(layer.sinks ? [reads('sinks')] : []),
    ],
    workgroupSize: forWholeRow(tuning.combineWorkgroup, layer),
    readsKv: false,
    rowsAtOnce: 1,
    sliced: true,
    grid: ({ queryHeads, batch, dense }, { SLICES, FIGURE_WORKGROUPS }) => [
      queryHeads * (SLICES as number) + (dense ? 0 : (FIGURE_WORKGROUPS as number)),
      batch,
      1,
    ],
  };
}

/**
 * Finds the exact threshold of each head, and fits the power law when the window is full. After a dense step
 * it also writes the output.
 */
function learn({ subgroupSize, tuning, kv }: KernelVariant, layer: Layer): Kernel {
  const subgroups = subgroupSize > 0;
  // Without subgroups a reduction needs workgroup memory for every invocation.
  const least = subgroups ? tuning.learnWorkgroup : Math.min(256, tuning.learnWorkgroup);
  return {
    name: 'learn',
    modules: [
      subgroups ? wgsl.libReduceSubgroup : wgsl.libReduceWorkgroup,
      subgroups ? wgsl.learnSplitsSubgroup : wgsl.learnSplitsWorkgroup,
      wgsl.learnScoreCodes,
      wgsl.learnBins,
      wgsl.learnQuantile,
      wgsl.learnFit,
      wgsl.learnOutputs,
      wgsl.learn,
      kv.merges ? wgsl.combineLseStored : wgsl.combineLseDropped,
      layer.sinks ? wgsl.combineSinksRead : wgsl.combineSinksNone,
    ],
    buffers: [
      reads('lengths'),
      reads('split_softmax'),
      reads('split_output'),
      reads('scores', 'array<vec4u>'),
      writes('layer_state', 'array<HeadState>'),
      writes('window'),
      writes('output'),
      ...(kv.merges ? [writes('lse')] : []),
      ...(layer.sinks ? [reads('sinks')] : []),
    ],
    workgroupSize: forWholeRow(least, layer),
    readsKv: false,
    rowsAtOnce: 1,
    grid: ({ queryHeads, batch, dense }) => [dense ? 2 * queryHeads : queryHeads, batch, 1],
  };
}

const MAKE: Record<KernelName, (variant: KernelVariant, layer: Layer) => Kernel> = {
  moments,
  dense,
  denseLearn,
  encode,
  sift,
  shadow,
  scores,
  gather,
  combine,
  learn,
};

/** All kernels by name. */
export const KERNEL_NAMES = Object.keys(MAKE) as KernelName[];

/** Kernels that need subgroups. Without subgroups a dense step is an exact step that keeps every row. */
const NEEDS_SUBGROUPS: readonly KernelName[] = ['dense', 'denseLearn', 'encode', 'sift', 'shadow'];

/** Kernels of the shadow. A cache in pages has none yet: with its page table they would need more buffers than every device binds. */
const NEEDS_SHADOW: readonly KernelName[] = ['encode', 'shadow'];

/** Whether a variant has a kernel of this name. */
export function hasKernel(
  name: KernelName,
  { subgroupSize, kv }: Pick<KernelVariant, 'subgroupSize' | 'kv'>,
): boolean {
  if (NEEDS_SHADOW.includes(name) && kv.buffers.length > 0) return false;
  return subgroupSize > 0 || !NEEDS_SUBGROUPS.includes(name);
}

/**
 * The kernel of this name in a variant. If it reads K or V, it has the buffers of the KV layout, too.
 *
 * @param layer the shape of the layer: if it has attention sinks, the kernels that write its output read them
 * @throws {Error} if it needs subgroups and the variant has none, or if there are sinks and the runtime merges attentions: the
 *   log-sum-exp that it merges by does not count sinks
 */
export function kernelOf(name: KernelName, variant: KernelVariant, layer: Layer): Kernel {
  if (!hasKernel(name, variant)) throw new Error(`There is no ${name} kernel without subgroups.`);
  if (layer.sinks && variant.kv.merges)
    throw new Error(`There are no attention sinks in a ${variant.kv.name} cache.`);
  const kernel = MAKE[name](variant, layer);
  return kernel.readsKv ? { ...kernel, buffers: [...kernel.buffers, ...variant.kv.buffers] } : kernel;
}
