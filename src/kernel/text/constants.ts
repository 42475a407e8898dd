import {
  CODE_STEP,
  ESTIMATE_KEYS,
  GUARD,
  hadamardSize,
  LARGEST_SCALE,
  LINEAR_GAIN,
  MOMENT_ROWS,
} from '../../policy/index.ts';
import { type AttentionShape, shapeConstants } from '../shape.ts';
import { MAX_SPLITS } from '../step/split-plan.ts';
import type { Tuning } from '../step/tuning.ts';
import type { Kernel } from './kernel.ts';
import type { KernelVariant } from './variant.ts';

/** Bins that the quantile counts the scores of a head in. */
const SCORE_BINS = 2048;

/** Keys of a tile of the portable gather. Its list, with the weights of all heads, fits 16 KB. */
const LIST_TILE = 256;

/**
 * vec4f of a KV head's moments: the mean V row, Cov(v, k), and one with the number of rows they come from.
 */
export function momentVecs({ headSize }: AttentionShape): number {
  return (headSize / 4) * (1 + headSize) + 1;
}

/** Workgroups of combine for a head: several if heads are few, each with at least eight vec4f of the row. */
export function combineSlices(shape: AttentionShape, tuning: Tuning): number {
  const { words } = shapeConstants(shape);
  let slices = 1;
  const fits = (n: number) =>
    shape.queryHeads * n <= tuning.combineWorkgroups && words % n === 0 && shape.headSize / 4 / n >= 8;
  while (fits(2 * slices)) slices *= 2;
  return slices;
}

/** u32 that a lane reads of a row of the shadow at a time: four have the codes of 64 channels, two those of 32. */
export function codeVec({ headSize }: Pick<AttentionShape, 'headSize'>): 2 | 4 {
  return headSize % 64 === 0 ? 4 : 2;
}

/** Such vectors of a row: as many as hold the codes of all its channels. */
export function codePlanes(shape: Pick<AttentionShape, 'headSize'>): number {
  return Math.ceil(shape.headSize / (16 * codeVec(shape)));
}

/** Rows of a group of the shadow. Its codes lie side by side (wgsl/shadow/layout.wgsl). */
export const SHADOW_GROUP = 32;

/** Rows of the shadow that a lane loads at a time: fewer where rows are long or heads are many, because of the registers. */
function shadowRowsAtOnce(shape: AttentionShape, { shadowRows }: Tuning, heads: number): number {
  return Math.max(
    1,
    Math.min(
      shadowRows,
      Math.floor((2 * shadowRows) / codePlanes(shape)),
      Math.floor((4 * shadowRows) / heads),
    ),
  );
}

/** The value of a WGSL constant: a number for u32, text for another type. */
export type ConstantValue = number | string;

/**
 * The constants that WGSL files name at their heads: what they mean, and their values for one kernel and
 * shape.
 */
export function kernelConstants(kernel: Kernel, shape: AttentionShape, variant: KernelVariant) {
  const { subgroupSize, tuning } = variant;
  const subgroups = subgroupSize > 0;
  const c = shapeConstants(shape);
  const { workgroupSize: size } = kernel;
  // The lanes of a team exchange values, so that a team must lie within every subgroup the device may choose.
  const team = subgroups ? Math.min(32, subgroupSize) : 32;
  // A slot has at least four lanes, so that the results of all slots fit workgroup memory.
  const lanes = Math.min(team, Math.max(4, 2 ** Math.ceil(Math.log2(c.words))));
  const teamSlots = team / lanes;
  // Where scores of neighbouring keys share a word, their lanes must be in one subgroup. They are in
  // neighbouring slots if a team has more than one slot. Otherwise the keys are two rows of one slot.
  const acrossSlots = !kernel.pairsKeys || teamSlots > 1;
  const rows = Math.min(acrossSlots ? kernel.rowsAtOnce : Math.max(2, kernel.rowsAtOnce), lanes);
  // For more than four heads the branch that skips a piece costs more than the rows that it saves.
  const pieces = c.heads > 4 ? 1 : Math.min(2, rows);
  const slots = size / lanes;
  const vecs = shape.headSize / 4;
  const slices = kernel.sliced ? combineSlices(shape, tuning) : 1;
  const adders = Math.max(1, Math.floor(Math.min(256, size) / (vecs / slices)));
  const splits = Math.min(MAX_SPLITS, tuning.workgroups / (shape.kvHeads * c.blocks));
  const edgeKeys = ESTIMATE_KEYS.sink + ESTIMATE_KEYS.newest;
  const sampled = edgeKeys + ESTIMATE_KEYS.samples;
  const figureHeads = subgroups ? size / team : 1;
  const atOnce = shadowRowsAtOnce(shape, tuning, c.heads);
  // All rows that a workgroup scans in a round have room in a list of 8 KB. It is shorter where heads are many or teams small, because then
  // other things need the workgroup memory.
  const shorter = (c.heads > 4 ? 2 : 1) * (team < 8 ? 4 : team < 16 ? 2 : 1);
  const roundTurns = Math.max(1, Math.floor(tuning.shadowRound / (shorter * atOnce * size)));
  const accumulators = c.heads * Math.ceil(c.words / lanes) * (c.wordElements / 4);
  return {
    // The shape.
    /** Elements of a K or V row. */
    HEAD_SIZE: shape.headSize,
    QUERY_HEADS: shape.queryHeads,
    KV_HEADS: shape.kvHeads,
    /** Query heads of a group, which share a KV head. */
    GROUP: c.group,
    /** Query heads that a workgroup serves: at most 8, or 4 if heads are larger than 256. */
    HEADS: c.heads,
    /** Blocks of HEADS heads that a group is cut into. */
    BLOCKS: c.blocks,
    /** Storage words of a row. */
    WORDS: c.words,
    /** vec4f of a storage word: 1 or 2. */
    V4: c.wordElements / 4,
    /** vec4f of a row. */
    VECS: vecs,
    /** Pairs of heads; if HEADS is odd, the last has one head. */
    HEAD_PAIRS: Math.ceil(c.heads / 2),

    // Invocations.
    /** Invocations of the workgroup. */
    WG: size,
    /** The least number of invocations that a subgroup may have; 1 without subgroups. */
    SUBGROUP: Math.max(1, subgroupSize),
    /** Neighbouring lanes that read one row side by side: a slot. */
    LANES: lanes,
    /** Storage words of a row that each of these lanes reads. */
    LANE_WORDS: Math.ceil(c.words / lanes),
    /** Slots of the workgroup. */
    SLOTS: slots,
    /** Slots of a subgroup of 32. Together they read neighbouring rows, and so one piece of memory. */
    PACK: acrossSlots ? Math.min(slots, 32 / lanes) : 1,
    /** Where scores are stored: how far the lane of a key is from the lane of the neighbouring key. */
    NEIGHBOUR_LANES: acrossSlots ? lanes : 1,
    /** Rows that a slot reads at a time: loads in flight. A power of two, at most LANES and 8. */
    UNROLL: rows,
    /** Lanes of a team, which shares a queue of rows: a subgroup, or 32 lanes of it. */
    TEAM: team,
    /** Slots of a team. */
    TEAM_SLOTS: teamSlots,
    /** Teams of the workgroup. */
    TEAMS: Math.max(1, size / team),
    /** vec4f that a lane adds up: its elements of the output of every head. */
    ACC: accumulators,
    /** Rounds of TEAM_SLOTS in which these sums, and one value for each head, are added up over a team. */
    ACC_ROUNDS: Math.ceil(accumulators / teamSlots),
    HEAD_ROUNDS: Math.ceil(c.heads / teamSlots),

    // Splits of the keys.
    MAX_SPLITS,
    /** vec4f of a split's result for a head: the output, and (kept mass, kept rows, rows read, 0). */
    SPLIT_VECS: vecs + 1,

    // The sift kernel.
    /** Edge keys: the first SINK and the NEWEST keys. */
    SINK: ESTIMATE_KEYS.sink,
    NEWEST: ESTIMATE_KEYS.newest,
    /** Keys between them that the estimate takes. */
    SAMPLES: ESTIMATE_KEYS.samples,
    /** All keys of the estimate. */
    SAMPLED: sampled,
    /** Keys of the estimate for each lane of a team. */
    SAMPLE_EACH: sampled / team,
    /** Tiles that the keys of the estimate fill. */
    SAMPLE_ROUNDS: Math.ceil(sampled / (slots * rows)),
    /**
     * Splits that have the edge keys, beside those that share the other keys; 0 if all splits share all keys.
     * For more than four heads there are too few registers for it.
     */
    EDGE_SPLITS: tuning.edgeApart && c.heads <= 4 ? Math.ceil(edgeKeys / (slots * rows)) : 0,
    /** Turns in which a team reads a full queue. */
    TURNS: team / (teamSlots * rows),
    /** Pieces of a turn. A piece for which no lane has a row is skipped. */
    PIECES: pieces,
    /** Rows of a slot in a piece. */
    PIECE_ROWS: rows / pieces,
    /** Whether scores of much probability are refined: computed again in f32. */
    REFINES: String(variant.halfScreen || tuning.refine),

    // The shadow.
    /** Elements of a block of the Walsh-Hadamard transform. */
    HADAMARD: hadamardSize(shape.headSize),
    /** Distance between the values of neighbouring codes, over the scale of their row. */
    CODE_STEP: String(CODE_STEP),
    // The rotation is not normalised, so that scales grow by the square root of its size.
    LARGEST_SCALE: 128 + 4 * Math.log2(hadamardSize(shape.headSize)) + LARGEST_SCALE,
    /** Rows of a group. */
    SHADOW_GROUP,
    /** u32 that a lane reads of a row at a time, and how many such vectors a row has. */
    CODE_VEC: codeVec(shape),
    PLANES: codePlanes(shape),
    /** u32 of a row's codes, those beyond its last channel among them. */
    CODE_WORDS: codePlanes(shape) * codeVec(shape),
    /** Rows of the shadow that a lane loads at a time. Longer rows need more registers, and so do more heads. */
    AT_ONCE: atOnce,
    /** Turns of a round: after so many the rows that were noted are read. */
    ROUND_TURNS: roundTurns,
    /** Rows that a team scans in a round. */
    ROUND_ROWS: roundTurns * atOnce * team,
    /** Turns of four rows in which a slot of the encode kernel encodes. */
    ENCODE_TURNS: 4,
    /** Tiles that the edge keys fill. */
    EDGE_ROUNDS: Math.ceil(edgeKeys / (slots * rows)),

    // Corrections for dropped rows.
    /** vec4f of a KV head's moments. */
    MOMENTS: momentVecs(shape),
    /** The most rows of a cache that the moments are taken from. */
    MOMENT_ROWS,
    /** Share of Cov(v, k) q in a correction. */
    LINEAR_GAIN: String(LINEAR_GAIN),

    // The exact kernels.
    /** Keys that an invocation of the gather judges at a time. */
    KEYS: subgroups ? tuning.gatherKeys : LIST_TILE / size,
    LIST_TILE,

    // Combine.
    /** Workgroups for a head, each with VECS / SLICES vec4f of the row. */
    SLICES: slices,
    /** Splits that a workgroup adds up side by side, with an invocation for each vec4f. */
    ADDERS: adders,
    /** Splits that an invocation loads at a time. */
    LOADS: Math.max(1, Math.min(8, Math.ceil(splits / adders))),
    /** How often the sums of neighbouring adders are merged by exchanges between lanes. */
    MERGES: subgroups && team % (vecs / slices) === 0 ? Math.log2(team / (vecs / slices)) : 0,
    /** Invocations that update the figures of a head. */
    FIGURE_LANES: subgroups ? team : size,
    /** Heads whose figures a workgroup updates. */
    FIGURE_HEADS: figureHeads,
    /** Workgroups that update figures. */
    FIGURE_WORKGROUPS: Math.ceil(shape.queryHeads / figureHeads),
    /** The guard, as src/policy/constants.ts says. */
    GUARD_DECAY: String(GUARD.decay),
    GUARD_LEAST_MASS: String(GUARD.leastMass),
    GUARD_GRACE_STEPS: GUARD.graceSteps,

    // Learning.
    SCORE_BINS,
    /** Bins of each invocation. */
    BINS_EACH: SCORE_BINS / size,
    /** vec4u of scores, of eight each, that an invocation of the learn kernel holds. */
    HELD: tuning.learnHeld,
    /** Whether dense steps store scores as codes. */
    CODED: String(subgroups),
  } satisfies Record<string, ConstantValue>;
}

/** WGSL that declares constants. */
export function declareConstants(constants: Readonly<Record<string, ConstantValue>>): string {
  return Object.entries(constants)
    .map(([name, value]) => `const ${name} = ${typeof value === 'number' ? `${value}u` : value};`)
    .join('\n');
}
