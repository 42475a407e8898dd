import { invalidOption } from '../errors.ts';

/**
 * Element type of q, K, V and the output. Sums and thresholds are f32 in either case, and so are scores unless the
 * sift kernel screens them in half precision.
 */
export type DType = 'f32' | 'f16';

/** Shape of the attention of one decode step in one layer. */
export interface AttentionShape {
  /** Query heads of the layer. */
  queryHeads: number;
  /** KV heads of the layer. It divides `queryHeads`. */
  kvHeads: number;
  /** Elements of a K or V row: a multiple of 4, at most 512. */
  headSize: number;
  dtype: DType;
  /**
   * Whether the layer has attention sinks: a learned score for each query head that takes part in the sum of the softmax and has no V
   * row. Default false.
   */
  sinks?: boolean | undefined;
}

/** The most elements of a K or V row. */
export const MAX_HEAD_SIZE = 512;

/** The most query heads that one workgroup serves, where heads are not large. A larger group is cut into blocks of this size. */
export const MAX_HEADS_PER_BLOCK = 8;

/** With larger heads a workgroup serves half as many, because the portable kernel of scores keeps all queries of a block in 16 KB. */
const LARGE_HEAD = 256;

/** The most query heads that may share a KV head: the smallest workgroup has an invocation for each. */
export const MAX_GROUP = 128;

/** Numbers that follow from the shape and are compiled into the kernels. */
export interface ShapeConstants {
  /** Query heads of a group, which share a KV head. */
  group: number;
  /** Query heads that one workgroup serves. */
  heads: number;
  /** Blocks of `heads` query heads that a group is cut into. */
  blocks: number;
  /** Elements of a storage word, which is what a lane loads at a time: 4 or 8. */
  wordElements: number;
  /** Storage words of a row. */
  words: number;
  /** Bytes of an element. */
  elementBytes: number;
}

/**
 * Whether the sift kernel exists for a shape: it needs subgroups, and one workgroup must serve all heads of a
 * group.
 */
export function canSiftInOnePass(shape: AttentionShape, subgroups: boolean): boolean {
  return subgroups && shapeConstants(shape).blocks === 1;
}

/**
 * Checks a shape.
 * @throws {SiftError} `INVALID_OPTION`, whose message names the field, its value and what is allowed.
 */
export function validateShape(shape: AttentionShape): void {
  const { queryHeads, kvHeads, headSize, dtype, sinks = false } = shape;
  if (!Number.isInteger(kvHeads) || kvHeads < 1)
    throw invalidOption('kvHeads', kvHeads, 'an integer of at least 1');
  if (!Number.isInteger(queryHeads) || queryHeads < 1 || queryHeads % kvHeads !== 0) {
    throw invalidOption('queryHeads', queryHeads, `a multiple of kvHeads (${kvHeads})`);
  }
  if (queryHeads / kvHeads > MAX_GROUP) {
    throw invalidOption('queryHeads', queryHeads, `at most ${MAX_GROUP} times kvHeads (${kvHeads})`);
  }
  if (!Number.isInteger(headSize) || headSize < 4 || headSize > MAX_HEAD_SIZE || headSize % 4 !== 0) {
    throw invalidOption('headSize', headSize, `a multiple of 4 from 4 to ${MAX_HEAD_SIZE}`);
  }
  if (dtype !== 'f32' && dtype !== 'f16') throw invalidOption('dtype', dtype, "'f32' or 'f16'");
  if (typeof sinks !== 'boolean') throw invalidOption('sinks', sinks, 'true, false or nothing');
}

/** A shape in words, the same for shapes that are the same: `32/8 heads of 64, f16`. */
export function describeShape({ queryHeads, kvHeads, headSize, dtype, sinks }: AttentionShape): string {
  return `${queryHeads}/${kvHeads} heads of ${headSize}, ${dtype}${sinks ? ', with sinks' : ''}`;
}

/** The numbers that follow from a valid shape. */
export function shapeConstants(shape: AttentionShape): ShapeConstants {
  const group = shape.queryHeads / shape.kvHeads;
  const most = shape.headSize > LARGE_HEAD ? MAX_HEADS_PER_BLOCK / 2 : MAX_HEADS_PER_BLOCK;
  const heads = Math.min(group, most);
  const wordElements = shape.dtype === 'f16' && shape.headSize % 8 === 0 ? 8 : 4;
  return {
    group,
    heads,
    blocks: Math.ceil(group / heads),
    wordElements,
    words: shape.headSize / wordElements,
    elementBytes: shape.dtype === 'f16' ? 2 : 4,
  };
}
