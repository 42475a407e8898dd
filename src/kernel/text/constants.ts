import { ESTIMATE_KEYS, GUARD, LINEAR_GAIN, MOMENT_ROWS } from '../../policy/index.ts';
import { type AttentionShape, shapeConstants } from '../shape.ts';
import { MAX_SPLITS } from '../step/split-plan.ts';
import type { Tuning } from '../step/tuning.ts';
import type { Kernel } from './kernel.ts';
import type { KernelVariant } from './variant.ts';

/** Bins that the scores of a head are counted in while thresholds are learned. */
const SCORE_BINS = 2048;

/** Keys that the portable gather lists at a time; with the weights of every head they fit 16 KB. */
const LIST_TILE = 256;

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

/** A constant of WGSL: an unsigned number, or text of another type. */
export type ConstantValue = number | string;

/**
 * The constants that WGSL files name at their heads, for one kernel of one shape: this is what each of them means.
 */
export function kernelConstants(kernel: Kernel, shape: AttentionShape, variant: KernelVariant) {
  const { subgroupSize, tuning } = variant;
  const subgroups = subgroupSize > 0;
  const c = shapeConstants(shape);
  const { workgroupSize: size } = kernel;
  // The lanes of a slot exchange scores within a subgroup.
  const team = subgroups ? Math.min(32, subgroupSize) : 32;
  // At least four, so that the results of all slots fit workgroup memory.
  const lanes = Math.min(team, Math.max(4, 2 ** Math.ceil(Math.log2(c.words))));
  const teamSlots = team / lanes;
  // Neighbouring keys, whose scores share a word, must be those of lanes of one subgroup: of two slots, or of two rows of a slot.
  const acrossSlots = !kernel.pairsKeys || teamSlots > 1;
  const rows = Math.min(acrossSlots ? kernel.rowsAtOnce : Math.max(2, kernel.rowsAtOnce), lanes);
  // For more than four heads a branch costs more than the rows it leaves out.
  const pieces = c.heads > 4 ? 1 : Math.min(2, rows);
  const slots = size / lanes;
  const vecs = shape.headSize / 4;
  const slices = kernel.sliced ? combineSlices(shape, tuning) : 1;
  const adders = Math.max(1, Math.floor(Math.min(256, size) / (vecs / slices)));
  const splits = Math.min(MAX_SPLITS, tuning.workgroups / (shape.kvHeads * c.blocks));
  const edgeKeys = ESTIMATE_KEYS.sink + ESTIMATE_KEYS.newest;
  const sampled = edgeKeys + ESTIMATE_KEYS.samples;
  const figureHeads = subgroups ? size / team : 1;
  const accumulators = c.heads * Math.ceil(c.words / lanes) * (c.wordElements / 4);
  return {
    // The shape.
    /** Elements of a row of K or V. */
    HEAD_SIZE: shape.headSize,
    QUERY_HEADS: shape.queryHeads,
    KV_HEADS: shape.kvHeads,
    /** Query heads of a KV head. */
    GROUP: c.group,
    /** Query heads that a workgroup serves; a larger group is cut into BLOCKS. */
    HEADS: c.heads,
    BLOCKS: c.blocks,
    /** Storage words of a row, vec4f of a word, vec4f of a row. */
    WORDS: c.words,
    V4: c.wordElements / 4,
    VECS: vecs,
    /** Pairs of heads, of which the last may be half empty. */
    HEAD_PAIRS: Math.ceil(c.heads / 2),

    // Invocations.
    /** Of a workgroup. */
    WG: size,
    /** Of a subgroup at least. */
    SUBGROUP: Math.max(1, subgroupSize),
    /** Neighbouring lanes that read one row side by side (a slot), and the words that each of them reads. */
    LANES: lanes,
    LANE_WORDS: Math.ceil(c.words / lanes),
    /** Slots of the workgroup. */
    SLOTS: slots,
    /** Slots of a subgroup of 32: what such a subgroup reads is one piece of memory. */
    PACK: acrossSlots ? Math.min(slots, 32 / lanes) : 1,
    /** From the lane that has a key to the one that has its neighbour, where scores are stored. */
    NEIGHBOUR_LANES: acrossSlots ? lanes : 1,
    /** Rows that a slot reads at a time: loads in flight. A power of two, at most LANES and 8. */
    UNROLL: rows,
    /** Lanes that share a queue of rows (a team): at most a subgroup, at most 32; its slots; teams of the workgroup. */
    TEAM: team,
    TEAM_SLOTS: teamSlots,
    TEAMS: Math.max(1, size / team),
    /** vec4f of the output that a lane of a slot holds. */
    ACC: accumulators,
    ACC_ROUNDS: Math.ceil(accumulators / teamSlots),
    HEAD_ROUNDS: Math.ceil(c.heads / teamSlots),

    // Splits of the keys.
    MAX_SPLITS,
    /** vec4f of a split's result: the output, and (kept mass, kept rows, rows read, 0). */
    SPLIT_VECS: vecs + 1,

    // The one-pass kernel.
    /** The first and the newest keys (edge keys), and samples of those between. */
    SINK: ESTIMATE_KEYS.sink,
    NEWEST: ESTIMATE_KEYS.newest,
    SAMPLES: ESTIMATE_KEYS.samples,
    /** Keys of the estimate; those of a lane of a team; tiles that hold them. */
    SAMPLED: sampled,
    SAMPLE_EACH: sampled / team,
    SAMPLE_ROUNDS: Math.ceil(sampled / (slots * rows)),
    /** Splits that have the edge keys, beside those that share the others. For more than four heads registers are too short. */
    EDGE_SPLITS: tuning.edgeApart && c.heads <= 4 ? Math.ceil(edgeKeys / (slots * rows)) : 0,
    /** Turns in which a full queue is read; pieces of a turn, of which those without a row are left out; rows of a piece. */
    TURNS: team / (teamSlots * rows),
    PIECES: pieces,
    PIECE_ROWS: rows / pieces,
    /** Whether scores of much probability are computed again in f32. */
    REFINES: String(variant.halfScreen || tuning.refine),

    // What stands for rows that are not read.
    MOMENTS: momentVecs(shape),
    MOMENT_ROWS,
    LINEAR_GAIN: String(LINEAR_GAIN),

    // The exact kernels.
    /** Keys that an invocation of the gather judges at a time. */
    KEYS: subgroups ? tuning.gatherKeys : LIST_TILE / size,
    LIST_TILE,

    // Combine.
    /** Workgroups for a head, each with VECS / SLICES vec4f of the row. */
    SLICES: slices,
    /** Splits that a workgroup adds side by side, an invocation for each vec4f; how many of them an invocation loads at a time. */
    ADDERS: adders,
    LOADS: Math.max(1, Math.min(8, Math.ceil(splits / adders))),
    /** How often neighbouring adders' sums are made one by exchanges between lanes. */
    MERGES: subgroups && team % (vecs / slices) === 0 ? Math.log2(team / (vecs / slices)) : 0,
    /** Invocations that keep a head's figures, heads whose figures a workgroup keeps, and workgroups that do. */
    FIGURE_LANES: subgroups ? team : size,
    FIGURE_HEADS: figureHeads,
    FIGURE_WORKGROUPS: Math.ceil(shape.queryHeads / figureHeads),
    GUARD_DECAY: String(GUARD.decay),
    GUARD_LEAST_MASS: String(GUARD.leastMass),
    GUARD_GRACE_STEPS: GUARD.graceSteps,

    // Learning.
    SCORE_BINS,
    BINS_EACH: SCORE_BINS / size,
    /** vec4u of scores, eight each, that an invocation of the quantile holds. */
    HELD: tuning.learnHeld,
    /** Whether a dense step stores scores as codes. */
    CODED: String(subgroups),
  } satisfies Record<string, ConstantValue>;
}

/** WGSL of some constants. */
export function declareConstants(constants: Readonly<Record<string, ConstantValue>>): string {
  return Object.entries(constants)
    .map(([name, value]) => `const ${name} = ${typeof value === 'number' ? `${value}u` : value};`)
    .join('\n');
}
