// The numbers of workgroups at every boundary of a length, and the arithmetic of indices at the largest buffers that can be bound.
import { expect, test } from 'vitest';
import { cacheObstacle } from '../../adapters/transformers/attend-call.ts';
import { shapeConstants } from '../shape.ts';
import { planSplits } from '../step/split-plan.ts';
import { DEFAULT_TUNING } from '../step/tuning.ts';
import { kernelConstants } from './constants.ts';
import { hasKernel, KERNEL_NAMES, kernelOf } from './kernels.ts';
import { CONTIGUOUS_KV } from './kv-layout.ts';

/** What every WebGPU device takes in each dimension. */
const MAX_WORKGROUPS = 65_535;

const SHAPES = [
  [32, 8, 64],
  [8, 8, 256],
  [64, 1, 128],
  [14, 2, 64],
  [128, 16, 128],
] as const;

/** One key; tiles; powers of two, one less and one more; a capacity; the longest contexts that models have. */
const LENGTHS = [
  ...[1, 2, 3, 4, 5, 31, 32, 33],
  ...Array.from({ length: 15 }, (_, i) => [2 ** (i + 6) - 1, 2 ** (i + 6), 2 ** (i + 6) + 1]).flat(),
  ...[131_072, 1_048_576],
];

test('no kernel has more workgroups than a device takes, and the splits cover every key', () => {
  let tried = 0;
  const wrong: string[] = [];
  for (const [queryHeads, kvHeads, headSize] of SHAPES) {
    const shape = { queryHeads, kvHeads, headSize, dtype: 'f16' } as const;
    const { blocks } = shapeConstants(shape);
    for (const subgroupSize of [0, 4, 32, 128]) {
      const variant = {
        ...{ subgroupSize, halfScreen: false, packedDot: true, kv: CONTIGUOUS_KV, tuning: DEFAULT_TUNING },
      };
      for (const length of LENGTHS) {
        for (const batch of [1, 4]) {
          const { splits, chunk } = planSplits(shape, batch, length, DEFAULT_TUNING, subgroupSize > 0);
          expect([length, splits * chunk >= length, (splits - 1) * chunk < length]).toEqual([
            length,
            true,
            true,
          ]);
          for (const name of KERNEL_NAMES) {
            if (!hasKernel(name, variant)) continue;
            const kernel = kernelOf(name, variant, shape);
            const size = {
              batch,
              splits,
              queryHeads,
              kvHeads,
              blocks,
              vecs: headSize / 4,
              encodeRows: length,
            };
            for (const dense of [false, true]) {
              const grid = kernel.grid(
                { ...size, dense, corrects: !dense },
                kernelConstants(kernel, shape, variant),
              );
              if (grid.some((count) => !Number.isInteger(count) || count < 1 || count > MAX_WORKGROUPS))
                wrong.push(`${name} at ${length}: ${grid}`);
              tried++;
            }
          }
        }
      }
    }
  }
  expect(wrong).toEqual([]);
  expect(tried).toBeGreaterThan(10_000);
});

test('a cache whose bytes do not fit 32 bits is never indexed: no device binds it', () => {
  const shape = { queryHeads: 32, kvHeads: 8, headSize: 64, dtype: 'f16' } as const;
  // The largest binding that 32 bits can say: not quite 2^31 elements of f16, which indices in 32 bits reach.
  const size = 2 ** 32 - 4;
  const rows = { buffer: { size } as GPUBuffer, offset: 0, size };
  expect(cacheObstacle({ shape, batch: 1, capacity: 2 ** 22 - 1 }, rows)).toBeUndefined();
  for (const [batch, capacity] of [
    [1, 2 ** 22],
    [2, 2 ** 21],
    [1, 2 ** 31],
  ] as const)
    expect(cacheObstacle({ shape, batch, capacity }, rows)).toContain('are bound');
});
