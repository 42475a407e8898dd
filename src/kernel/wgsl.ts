import binsSource from '../../wgsl/bins.wgsl?raw';
import combineSource from '../../wgsl/combine.wgsl?raw';
import combineDenseSource from '../../wgsl/combine-dense.wgsl?raw';
import combineLearnSource from '../../wgsl/combine-learn.wgsl?raw';
import commonSource from '../../wgsl/common.wgsl?raw';
import compareSource from '../../wgsl/compare.wgsl?raw';
import dropLseSource from '../../wgsl/drop-lse.wgsl?raw';
import dropScoreSource from '../../wgsl/drop-score.wgsl?raw';
import figuresSource from '../../wgsl/figures.wgsl?raw';
import fitSource from '../../wgsl/fit.wgsl?raw';
import flashSource from '../../wgsl/flash.wgsl?raw';
import flashSiftSource from '../../wgsl/flash-sift.wgsl?raw';
import foldSource from '../../wgsl/fold.wgsl?raw';
import gatherSource from '../../wgsl/gather.wgsl?raw';
import gatherTeamsSource from '../../wgsl/gather-teams.wgsl?raw';
import layerStateSource from '../../wgsl/layer-state.wgsl?raw';
import momentsSource from '../../wgsl/moments.wgsl?raw';
import nthBitSource from '../../wgsl/nth-bit.wgsl?raw';
import pairsF16Source from '../../wgsl/pairs-f16.wgsl?raw';
import pairsF32Source from '../../wgsl/pairs-f32.wgsl?raw';
import quantileSource from '../../wgsl/quantile.wgsl?raw';
import queueSource from '../../wgsl/queue.wgsl?raw';
import reduceSubgroupSource from '../../wgsl/reduce-subgroup.wgsl?raw';
import reduceWorkgroupSource from '../../wgsl/reduce-workgroup.wgsl?raw';
import restSource from '../../wgsl/rest.wgsl?raw';
import rowsSource from '../../wgsl/rows.wgsl?raw';
import sampleSource from '../../wgsl/sample.wgsl?raw';
import scoreCodesSource from '../../wgsl/score-codes.wgsl?raw';
import scoresSource from '../../wgsl/scores.wgsl?raw';
import scoresRowsSource from '../../wgsl/scores-rows.wgsl?raw';
import screenSource from '../../wgsl/screen.wgsl?raw';
import softmaxSubgroupSource from '../../wgsl/softmax-subgroup.wgsl?raw';
import softmaxWorkgroupSource from '../../wgsl/softmax-workgroup.wgsl?raw';
import splitsSubgroupSource from '../../wgsl/splits-subgroup.wgsl?raw';
import splitsWorkgroupSource from '../../wgsl/splits-workgroup.wgsl?raw';
import spreadSource from '../../wgsl/spread.wgsl?raw';
import storageF16x4Source from '../../wgsl/storage-f16x4.wgsl?raw';
import storageF16x8Source from '../../wgsl/storage-f16x8.wgsl?raw';
import storageF32Source from '../../wgsl/storage-f32.wgsl?raw';
import storeLseSource from '../../wgsl/store-lse.wgsl?raw';
import storeScoreSource from '../../wgsl/store-score.wgsl?raw';
import thresholdSource from '../../wgsl/threshold.wgsl?raw';
import { ESTIMATE_KEYS, LINEAR_GAIN, MOMENT_ROWS } from '../policy/index.ts';
import { CONTIGUOUS_KV, type KvLayout } from './kv-layout.ts';

import { MAX_SPLITS } from './plan.ts';
import { type AttentionShape, shapeConstants } from './shape.ts';
import { DEFAULT_TUNING, type Tuning } from './tuning.ts';
import { unroll } from './unroll.ts';

/**
 * The kernels of a decode step. A dense step is `dense` and `combine` (`denseLearn` where thresholds are learned, which leaves
 * the scores behind); a sifted one `scores`, `gather` and `combine`, or `sift` and `combine`. `combineLearn` finds the exact
 * thresholds of a step that learns, and takes the place of `combine` where it is dense.
 */
export type KernelName =
  | 'moments'
  | 'dense'
  | 'denseLearn'
  | 'sift'
  | 'scores'
  | 'gather'
  | 'combine'
  | 'combineLearn';

/** vec4f of a KV head's moments: the mean V row, Cov(v, k), and how many rows they are taken from. */
export function momentVecs({ headSize }: AttentionShape): number {
  return (headSize / 4) * (1 + headSize) + 1;
}

/** Workgroups of combine for a head: more where there are few heads, each with at least eight vec4f of the row. */
export function combineSlices(shape: AttentionShape, tuning: Tuning): number {
  const { words } = shapeConstants(shape);
  let slices = 1;
  const fits = (n: number) =>
    shape.queryHeads * n <= tuning.combineWorkgroups && words % n === 0 && shape.headSize / 4 / n >= 8;
  while (fits(2 * slices)) slices *= 2;
  return slices;
}

/** Bins that the scores of a head are counted in while thresholds are learned. */
export const SCORE_BINS = 2048;

const TILE = 256;

/** What a binding of a kernel is, in the order of its `@binding` numbers. */
export type BindingKind = 'params' | 'read' | 'write';

/** A kernel as a value: its WGSL, in order, its bindings and its workgroup size. */
export interface KernelSource {
  sources: readonly string[];
  bindings: readonly BindingKind[];
  workgroupSize: number;
  /** Reads rows of K or V. */
  usesKv: boolean;
}

/** What kernels are assembled for, beside the shape. */
export interface Target {
  /** Invocations that a subgroup has at least; 0: no subgroup operations. */
  subgroupSize: number;
  /** The one-pass kernel screens K in f16: for f16 caches on devices with shader-f16. */
  half?: boolean;
  kv?: KvLayout;
  tuning?: Tuning;
}

/** The kernels that there are for a target: without subgroups, a dense step is a sifted one that keeps every row. */
export function kernelSources(target: Target): Partial<Record<KernelName, KernelSource>> {
  const { subgroupSize, tuning = DEFAULT_TUNING } = target;
  const subgroups = subgroupSize > 0;
  const reduce = subgroups ? reduceSubgroupSource : reduceWorkgroupSource;
  const softmax = subgroups ? softmaxSubgroupSource : softmaxWorkgroupSource;
  const merges = target.kv?.merges ?? false;
  const lse = merges ? storeLseSource : dropLseSource;
  const lseBindings: BindingKind[] = merges ? ['write'] : [];
  const flash: KernelSource = {
    sources: [rowsSource, foldSource, flashSource, dropScoreSource],
    bindings: ['params', 'read', 'read', 'read', 'read', 'write', 'write'],
    workgroupSize: tuning.flashWorkgroup,
    usesKv: true,
  };
  return {
    ...(subgroups && {
      dense: flash,
      denseLearn: {
        ...flash,
        sources: [rowsSource, foldSource, flashSource, scoreCodesSource, storeScoreSource],
        bindings: [...flash.bindings, 'write'],
      },
      sift: {
        ...flash,
        sources: [
          rowsSource,
          target.half ? pairsF16Source : pairsF32Source,
          screenSource,
          sampleSource,
          thresholdSource,
          layerStateSource,
          restSource,
          foldSource,
          flashSiftSource,
          queueSource,
          nthBitSource,
        ],
        workgroupSize: tuning.siftWorkgroup,
        bindings: ['params', 'read', 'read', 'read', 'read', 'read', 'write', 'write'],
      },
    }),
    moments: {
      sources: [spreadSource, layerStateSource, momentsSource],
      bindings: ['params', 'read', 'read', 'read', 'write'],
      workgroupSize: tuning.combineWorkgroup,
      usesKv: true,
    },
    scores: {
      sources: subgroups ? [reduce, rowsSource, scoresRowsSource] : [reduce, scoresSource],
      bindings: ['params', 'read', 'read', 'read', 'write', 'write'],
      workgroupSize: subgroups ? tuning.flashWorkgroup : 128,
      usesKv: true,
    },
    gather: {
      sources: [
        reduce,
        ...(subgroups ? [foldSource, gatherTeamsSource, nthBitSource] : [gatherSource]),
        softmax,
        thresholdSource,
        layerStateSource,
        restSource,
      ],
      bindings: ['params', 'read', 'read', 'read', 'read', 'read', 'write', 'read'],
      workgroupSize: tuning.gatherWorkgroup,
      usesKv: true,
    },
    combine: {
      sources: [reduce, combineSource, figuresSource, thresholdSource, lse],
      bindings: ['params', 'read', 'read', 'read', 'write', 'write', 'write', ...lseBindings],
      workgroupSize: tuning.combineWorkgroup,
      usesKv: false,
    },
    combineLearn: {
      sources: [
        reduce,
        subgroups ? splitsSubgroupSource : splitsWorkgroupSource,
        scoreCodesSource,
        binsSource,
        quantileSource,
        fitSource,
        combineDenseSource,
        combineLearnSource,
        lse,
      ],
      bindings: ['params', 'read', 'read', 'read', 'read', 'write', 'write', 'write', ...lseBindings],
      // Without subgroups, sums take workgroup memory by the invocation.
      workgroupSize: subgroups ? tuning.learnWorkgroup : Math.min(256, tuning.learnWorkgroup),
      usesKv: false,
    },
  };
}

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

/** The constants that common.wgsl and rows.wgsl name. */
function kernelConstants(
  kernel: KernelSource,
  shape: AttentionShape,
  target: Target,
): Record<string, number> {
  const { subgroupSize, tuning = DEFAULT_TUNING } = target;
  const c = shapeConstants(shape);
  // The lanes of a slot exchange scores within a subgroup.
  const team = subgroupSize > 0 ? Math.min(32, subgroupSize) : 32;
  // At least four, so that the results of all slots fit workgroup memory.
  const lanes = Math.min(team, Math.max(4, 2 ** Math.ceil(Math.log2(c.words))));
  const gathers = kernel.sources.includes(gatherTeamsSource) || kernel.sources.includes(gatherSource);
  const scoring = kernel.sources.includes(scoresRowsSource);
  const sifting = kernel.sources.includes(flashSiftSource);
  const deep = gathers
    ? tuning.gatherUnroll
    : scoring
      ? tuning.scoresUnroll
      : sifting
        ? tuning.siftUnroll
        : tuning.unroll;
  const storing = kernel.sources.includes(storeScoreSource);
  const teamSlots = team / lanes;
  // Neighbouring keys, whose scores share a word, must be those of lanes of one subgroup: of two slots, or of two rows of a slot.
  const pairsSlots = !storing || teamSlots > 1;
  const rows = Math.min(pairsSlots ? deep : Math.max(2, deep), lanes);
  // For more than four heads a branch costs more than the rows it leaves out.
  const parts = c.heads > 4 ? 1 : Math.min(2, rows);
  const slots = kernel.workgroupSize / lanes;
  const vecs = shape.headSize / 4;
  const slices = kernel.sources.includes(combineSource) ? combineSlices(shape, tuning) : 1;
  const adders = Math.max(1, Math.floor(Math.min(256, kernel.workgroupSize) / (vecs / slices)));
  const splits = Math.min(MAX_SPLITS, tuning.workgroups / (shape.kvHeads * c.blocks));
  const knownKeys = ESTIMATE_KEYS.sink + ESTIMATE_KEYS.newest;
  const sampled = knownKeys + ESTIMATE_KEYS.samples;
  const keptHeads = subgroupSize > 0 ? kernel.workgroupSize / team : 1;
  const accumulators = c.heads * Math.ceil(c.words / lanes) * (c.wordElements / 4);
  return {
    HEAD_SIZE: shape.headSize,
    QUERY_HEADS: shape.queryHeads,
    KV_HEADS: shape.kvHeads,
    GROUP: c.group,
    HEADS: c.heads,
    BLOCKS: c.blocks,
    WORDS: c.words,
    VECS: vecs,
    ADDERS: adders,
    SLICES: slices,
    LOADS: Math.max(1, Math.min(8, Math.ceil(splits / adders))),
    MERGES: subgroupSize > 0 && team % (vecs / slices) === 0 ? Math.log2(team / (vecs / slices)) : 0,
    MOMENTS: momentVecs(shape),
    MOMENT_ROWS,
    V4: c.wordElements / 4,
    PAIRS: Math.ceil(c.heads / 2),
    WG: kernel.workgroupSize,
    KEEPERS: subgroupSize > 0 ? team : kernel.workgroupSize,
    KEPT_HEADS: keptHeads,
    FIGURE_KEEPERS: Math.ceil(shape.queryHeads / keptHeads),
    LANES: lanes,
    LANE_WORDS: Math.ceil(c.words / lanes),
    UNROLL: rows,
    PARTS: parts,
    PART_ROWS: rows / parts,
    SLOTS: slots,
    PACK: pairsSlots ? Math.min(slots, 32 / lanes) : 1,
    PAIR_LANES: pairsSlots ? lanes : 1,
    SUBGROUP: Math.max(1, subgroupSize),
    MAX_SPLITS,
    PART: vecs + 1,
    SCORE_BINS,
    LSE_BINDING: kernel.bindings.length - 1,
    BINS_EACH: SCORE_BINS / kernel.workgroupSize,
    HELD: tuning.learnHeld,
    // Without subgroups: keys that the gather lists at a time; with the weights of every head they fit 16 KB.
    TILE,
    // Keys that an invocation of the gather judges at a time.
    KEYS: subgroupSize > 0 ? tuning.gatherKeys : TILE / kernel.workgroupSize,
    TEAM: team,
    SINK: ESTIMATE_KEYS.sink,
    NEWEST: ESTIMATE_KEYS.newest,
    SAMPLES: ESTIMATE_KEYS.samples,
    SAMPLED: sampled,
    SAMPLE_EACH: sampled / team,
    SAMPLE_ROUNDS: Math.ceil(sampled / (slots * rows)),
    // For more than four heads registers are too short.
    KNOWN_SPLITS: tuning.knownApart && c.heads <= 4 ? Math.ceil(knownKeys / (slots * rows)) : 0,
    TURNS: team / ((team / lanes) * rows),
    TEAM_SLOTS: teamSlots,
    TEAMS: Math.max(1, kernel.workgroupSize / team),
    ACC: accumulators,
    ACC_ROUNDS: Math.ceil(accumulators / teamSlots),
    HEAD_ROUNDS: Math.ceil(c.heads / teamSlots),
  };
}

/** Splits of the one-pass kernel that have the first and the newest keys, beside those that share the others. */
export function knownSplits(shape: AttentionShape, target: Target): number {
  const { sift } = kernelSources(target);
  return sift ? kernelConstants(sift, shape, target).KNOWN_SPLITS! : 0;
}

/** Workgroups of combine that keep the heads' figures after a sifted step (figures.wgsl). */
export function figureKeepers(shape: AttentionShape, target: Target): number {
  return kernelConstants(kernelSources(target).combine!, shape, target).FIGURE_KEEPERS!;
}

/** The complete WGSL of a kernel for one shape. */
export function assemble(name: KernelName, shape: AttentionShape, target: Target): string {
  const kernel = kernelSources(target)[name];
  if (!kernel) throw new Error(`There is no ${name} kernel without subgroups.`);
  const constants = kernelConstants(kernel, shape, target);
  const half = kernel.sources.includes(pairsF16Source);
  const code = [
    declare(constants),
    `const LINEAR_GAIN = ${LINEAR_GAIN};`,
    `const CODED = ${target.subgroupSize > 0};`,
    `const REFINES = ${half || (target.tuning?.refine ?? false)};`,
    commonSource,
    storageSource(shape),
    ...kernel.sources,
    kernel.usesKv ? (target.kv ?? CONTIGUOUS_KV).source : '',
  ].join('\n');
  // Loops run over whole slots and branches on subgroup votes, which the analysis cannot know.
  const head = target.subgroupSize > 0 ? 'enable subgroups;\ndiagnostic(off, subgroup_uniformity);\n' : '';
  const f16 = half ? 'enable f16;\n' : '';
  return f16 + head + (target.tuning?.unrolled === false ? code : unroll(code, constants));
}
