import type { GridSize, Kernel, KernelName } from './kernel.ts';
import * as wgsl from './modules.ts';
import { reads, writes } from './schema.ts';
import type { KernelVariant } from './variant.ts';

/** The splits of every KV head and block of its query heads. */
const bySplit = ({ splits, kvHeads, blocks, batch }: GridSize): [number, number, number] => [
  splits,
  kvHeads * blocks,
  batch,
];

/** ... and a workgroup beside them that prepares what stands for the rows that are not read. */
const bySplitAndCorrection = (size: GridSize): [number, number, number] => {
  const [x, y, z] = bySplit(size);
  return [size.corrects ? x + 1 : x, y, z];
};

const INPUTS = [reads('lengths'), reads('q'), reads('keys'), reads('values')];
const SPLITS = [writes('split_softmax'), writes('split_output')];

/** Dense attention of a split in one pass. With subgroups. */
function dense({ tuning }: KernelVariant): Kernel {
  return {
    name: 'dense',
    modules: [wgsl.libRows, wgsl.libFold, wgsl.dense, wgsl.denseScoresDropped],
    buffers: [...INPUTS, ...SPLITS],
    workgroupSize: tuning.flashWorkgroup,
    readsKv: true,
    rowsAtOnce: tuning.unroll,
    grid: bySplit,
  };
}

/** The same where thresholds are learned: scores are left behind. */
function denseLearn(variant: KernelVariant): Kernel {
  return {
    ...dense(variant),
    name: 'denseLearn',
    modules: [wgsl.libRows, wgsl.libFold, wgsl.dense, wgsl.learnScoreCodes, wgsl.learnScoresStored],
    buffers: [...INPUTS, ...SPLITS, writes('scores', 'array<u32>')],
    pairsKeys: true,
  };
}

/** Sifted attention of a split in one pass, its normaliser estimated before. With subgroups, for groups of one block. */
function sift({ tuning, halfScreen }: KernelVariant): Kernel {
  return {
    name: 'sift',
    modules: [
      wgsl.libRows,
      halfScreen ? wgsl.siftPairsF16 : wgsl.siftPairsF32,
      wgsl.siftScreen,
      wgsl.siftEstimate,
      wgsl.libThreshold,
      wgsl.libLayerState,
      wgsl.siftCorrection,
      wgsl.libFold,
      wgsl.sift,
      wgsl.siftQueue,
      wgsl.libNthBit,
    ],
    buffers: [...INPUTS, reads('layer_state'), ...SPLITS],
    workgroupSize: tuning.siftWorkgroup,
    readsKv: true,
    rowsAtOnce: tuning.siftUnroll,
    grid: bySplitAndCorrection,
  };
}

/** The mean and the covariance of V, from which follows what stands for the rows that are not read. */
function moments({ tuning }: KernelVariant): Kernel {
  return {
    name: 'moments',
    modules: [wgsl.libSpread, wgsl.libLayerState, wgsl.siftMoments],
    buffers: [reads('lengths'), reads('keys'), reads('values'), writes('layer_state')],
    workgroupSize: tuning.combineWorkgroup,
    readsKv: true,
    rowsAtOnce: 1,
    grid: ({ vecs, kvHeads, batch }) => {
      const columns = Math.max(1, Math.floor(tuning.combineWorkgroup / vecs));
      return [Math.ceil(vecs / columns), kvHeads, batch];
    },
  };
}

/** Every score, exact, and the softmax of each split. */
function scores({ subgroupSize, tuning }: KernelVariant): Kernel {
  return {
    name: 'scores',
    modules:
      subgroupSize > 0
        ? [wgsl.libReduceSubgroup, wgsl.libRows, wgsl.exactScores]
        : [wgsl.libReduceWorkgroup, wgsl.portableScores],
    buffers: [reads('lengths'), reads('q'), reads('keys'), writes('scores'), writes('split_softmax')],
    workgroupSize: subgroupSize > 0 ? tuning.flashWorkgroup : 128,
    readsKv: true,
    rowsAtOnce: tuning.scoresUnroll,
    grid: bySplit,
  };
}

/** The V rows at or above the thresholds, by the exact normaliser that the scores give. */
function gather({ subgroupSize, tuning }: KernelVariant): Kernel {
  const own =
    subgroupSize > 0
      ? [wgsl.libReduceSubgroup, wgsl.libFold, wgsl.exactGather, wgsl.libNthBit, wgsl.exactSoftmax]
      : [wgsl.libReduceWorkgroup, wgsl.portableGather, wgsl.portableSoftmax];
  return {
    name: 'gather',
    modules: [...own, wgsl.libThreshold, wgsl.libLayerState, wgsl.siftCorrection],
    buffers: [
      reads('lengths'),
      reads('scores'),
      reads('split_softmax'),
      reads('layer_state'),
      reads('values'),
      writes('split_output'),
      reads('q'),
    ],
    workgroupSize: tuning.gatherWorkgroup,
    readsKv: true,
    rowsAtOnce: tuning.gatherUnroll,
    grid: bySplitAndCorrection,
  };
}

/** Adds up the splits and writes the output; after a sifted step, keeps the heads' figures. */
function combine({ subgroupSize, tuning, kv }: KernelVariant): Kernel {
  return {
    name: 'combine',
    modules: [
      subgroupSize > 0 ? wgsl.libReduceSubgroup : wgsl.libReduceWorkgroup,
      wgsl.combine,
      wgsl.combineFigures,
      wgsl.libThreshold,
      kv.merges ? wgsl.combineLseStored : wgsl.combineLseDropped,
    ],
    buffers: [
      reads('lengths'),
      reads('split_softmax'),
      reads('split_output'),
      writes('layer_state'),
      writes('groups_state'),
      writes('output'),
      ...(kv.merges ? [writes('lse')] : []),
    ],
    workgroupSize: tuning.combineWorkgroup,
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

/** Finds the exact threshold of each head and fits the power law; after a dense step it writes the output, too. */
function learn({ subgroupSize, tuning, kv }: KernelVariant): Kernel {
  const subgroups = subgroupSize > 0;
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
    ],
    // Without subgroups, sums take workgroup memory by the invocation.
    workgroupSize: subgroups ? tuning.learnWorkgroup : Math.min(256, tuning.learnWorkgroup),
    readsKv: false,
    rowsAtOnce: 1,
    grid: ({ queryHeads, batch, dense }) => [dense ? 2 * queryHeads : queryHeads, batch, 1],
  };
}

const MAKE: Record<KernelName, (variant: KernelVariant) => Kernel> = {
  moments,
  dense,
  denseLearn,
  sift,
  scores,
  gather,
  combine,
  learn,
};

export const KERNEL_NAMES = Object.keys(MAKE) as KernelName[];

/** Those that need subgroups: without them, a dense step is an exact one that keeps every row. */
const NEEDS_SUBGROUPS: readonly KernelName[] = ['dense', 'denseLearn', 'sift'];

/** Whether a variant has a kernel. */
export function hasKernel(name: KernelName, { subgroupSize }: Pick<KernelVariant, 'subgroupSize'>): boolean {
  return subgroupSize > 0 || !NEEDS_SUBGROUPS.includes(name);
}

/**
 * A kernel of a variant.
 * @throws {Error} if it needs subgroups and the variant has none
 */
export function kernelOf(name: KernelName, variant: KernelVariant): Kernel {
  if (!hasKernel(name, variant)) throw new Error(`There is no ${name} kernel without subgroups.`);
  const kernel = MAKE[name](variant);
  return kernel.readsKv ? { ...kernel, buffers: [...kernel.buffers, ...variant.kv.buffers] } : kernel;
}
