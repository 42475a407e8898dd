/** A deterministic source of numbers: the same seed gives the same sequence everywhere. */
export interface Random {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Normal with mean 0 and variance 1. */
  normal(): number;
  /** Uniform integer in 0..n-1. */
  integer(n: number): number;
  /** `length` normals times `scale`, rounded to f32. */
  normals(length: number, scale?: number): Float32Array<ArrayBuffer>;
}

/**
 * A small seeded generator for tests and benchmarks: mulberry32 (32 bits of state, period 2^32), normals by
 * Box-Muller. Not for cryptography.
 *
 * @param seed - any integer; its low 32 bits count
 */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  let spare: number | undefined;

  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };

  const normal = (): number => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };

  return {
    uniform,
    normal,
    integer: (n) => Math.floor(uniform() * n),
    normals: (length, scale = 1) => Float32Array.from({ length }, () => normal() * scale),
  };
}
