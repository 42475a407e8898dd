import { packFloat16 } from '../../src/kernel/gpu/float16.ts';
import { createRandom, type Random } from '../../src/oracle/random.ts';

/** Bytes of codes that are drawn: two codes in a byte. */
const CODE_BYTES = 16 * 2 ** 20;
/** Normals that are drawn. */
const NORMALS = 2 ** 21;
/**
 * How many elements later each reading of a pool begins than the one before. It is odd, so that rows of 2^n elements never begin at the
 * same place twice: tokens with equal rows would have equal logits.
 */
const SHIFT = 1021;

/**
 * Random bytes that are drawn once and read many times. A billion numbers would take a minute to draw; from a pool they are views of
 * memory that is there.
 */
export class Pool {
  private drawn: Uint8Array<ArrayBuffer> | undefined;

  /**
   * @param elements - in the pool
   * @param unit - bytes of an element; readings begin at whole elements
   * @param draw - makes the pool's bytes, when the first are read
   */
  private constructor(
    private readonly elements: number,
    private readonly unit: number,
    private readonly draw: () => ArrayBufferView<ArrayBuffer>,
  ) {}

  /** Codes of 4 bits from 1 to 15. The code 8 means 0, and is twice as frequent as the others in place of 0, so that the mean is 0. */
  static codes(seed: number): Pool {
    return new Pool(CODE_BYTES, 1, () => {
      const { uniform } = createRandom(seed);
      const words = new Uint32Array(CODE_BYTES / 4);
      for (let i = 0; i < words.length; i++) words[i] = withoutZeros(uniform() * 2 ** 32);
      return words;
    });
  }

  /** Normals of mean 0 and variance 1, in f16 if `half`, else in f32. */
  static normals(seed: number, half: boolean): Pool {
    return new Pool(NORMALS, half ? 2 : 4, () => {
      const { normal } = createRandom(seed);
      const values = new Float32Array(NORMALS);
      for (let i = 0; i < NORMALS; i++) values[i] = normal();
      return half ? packFloat16(values) : values;
    });
  }

  /** An element to begin at. */
  start(random: Random): number {
    return random.integer(this.elements);
  }

  /** `size` bytes as views of the pool, from the element `start` to the pool's end, and then again and again from near its beginning. */
  *read(size: number, start: number): Generator<Uint8Array<ArrayBuffer>> {
    this.drawn ??= bytesOf(this.draw());
    let from = start * this.unit;
    for (let left = size, turn = 1; left > 0; turn++) {
      const view = this.drawn.subarray(from, from + left);
      yield view;
      left -= view.byteLength;
      from = ((turn * SHIFT) % (this.elements >> 1)) * this.unit;
    }
  }
}

/** The standard deviation of what the codes of a pool mean: from -7 to 7, with 0 twice as frequent as the others. */
export const CODE_DEVIATION = Math.sqrt(17.5);

/** Puts the code 8 in the place of each code 0 of a word of eight. */
export function withoutZeros(word: number): number {
  const nonZero = (word | (word >>> 1) | (word >>> 2) | (word >>> 3)) & 0x11111111;
  return (word | ((nonZero ^ 0x11111111) << 3)) >>> 0;
}

export const bytesOf = (view: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
