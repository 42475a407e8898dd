import { invalidOption } from '../errors.ts';

/** Element type of q, K, V and the output. Scores, sums and thresholds are f32 in either case. */
export type DType = 'f32' | 'f16';

/** Shape of one decode attention. */
export interface AttentionShape {
  /** Query heads of the layer. */
  queryHeads: number;
  /** KV heads of the layer; divides `queryHeads`. */
  kvHeads: number;
  /** Elements of a K or V row; a multiple of 4, at most 256. */
  headSize: number;
  dtype: DType;
}

/** Query heads one workgroup serves; a larger group is cut into blocks of this size. */
export const MAX_HEADS_PER_BLOCK = 8;

/** Quantities that follow from the shape and are compiled into the kernels. */
export interface ShapeConstants {
  /** Query heads per KV head. */
  group: number;
  /** Query heads handled by one workgroup. */
  heads: number;
  /** Workgroups that together serve a group. */
  blocks: number;
  /** Elements per storage word: 4 or 8. */
  wordElements: number;
  /** Storage words per row. */
  words: number;
  /** Bytes per element. */
  elementBytes: number;
}

/** Whether rows can be chosen in one pass over the keys: with subgroups, and one workgroup for all heads of a group. */
export function canSiftInOnePass(shape: AttentionShape, subgroups: boolean): boolean {
  return subgroups && shapeConstants(shape).blocks === 1;
}

/**
 * Checks a shape.
 * @throws {SiftError} `INVALID_OPTION`, naming the field.
 */
export function validateShape(shape: AttentionShape): void {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  if (!Number.isInteger(kvHeads) || kvHeads < 1)
    throw invalidOption('kvHeads', kvHeads, 'an integer of at least 1');
  if (!Number.isInteger(queryHeads) || queryHeads < 1 || queryHeads % kvHeads !== 0) {
    throw invalidOption('queryHeads', queryHeads, `a multiple of kvHeads (${kvHeads})`);
  }
  if (!Number.isInteger(headSize) || headSize < 4 || headSize > 256 || headSize % 4 !== 0) {
    throw invalidOption('headSize', headSize, 'a multiple of 4 from 4 to 256');
  }
  if (dtype !== 'f32' && dtype !== 'f16') throw invalidOption('dtype', dtype, "'f32' or 'f16'");
}

/** Derives the compiled-in constants of a shape. */
export function shapeConstants(shape: AttentionShape): ShapeConstants {
  const group = shape.queryHeads / shape.kvHeads;
  const heads = Math.min(group, MAX_HEADS_PER_BLOCK);
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
