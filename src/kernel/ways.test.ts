import { expect, test } from 'vitest';
import { SiftError } from '../errors.ts';
import type { AttentionShape } from './shape.ts';
import { firstProven, type KernelWay, kernelWays } from './ways.ts';

const shape = (dtype: 'f16' | 'f32'): AttentionShape => ({ queryHeads: 8, kvHeads: 2, headSize: 64, dtype });

function device(...features: string[]): GPUDevice {
  const adapterInfo = { subgroupMinSize: 32, subgroupMaxSize: 32, architecture: '', description: '' };
  const limits = { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256 };
  return { features: new Set(features), adapterInfo, limits } as unknown as GPUDevice;
}

const short = (ways: readonly KernelWay[]) => ways.map((way) => [way.subgroups, way.tuning.half]);

test('the ways of a device, the fastest first', () => {
  expect(short(kernelWays(device('subgroups', 'shader-f16'), shape('f16')))).toEqual([
    [true, true],
    [true, false],
    [false, false],
  ]);
  const exact = [
    [true, false],
    [false, false],
  ];
  expect(short(kernelWays(device('subgroups', 'shader-f16'), shape('f32')))).toEqual(exact);
  expect(short(kernelWays(device('subgroups'), shape('f16')))).toEqual(exact);
  expect(short(kernelWays(device('shader-f16'), shape('f16')))).toEqual([[false, false]]);
});

test('a way that fails its self-test gives way to the next; another error does not', async () => {
  const ways = kernelWays(device('subgroups', 'shader-f16'), shape('f16'));
  const tried: KernelWay[] = [];
  const attempt = (fails: number) => async (way: KernelWay) => {
    tried.push(way);
    if (tried.length <= fails) throw new SiftError('SELF_TEST_FAILED', `way ${tried.length}`);
    return way;
  };
  expect(await firstProven(ways, attempt(1))).toBe(ways[1]);
  expect(tried).toEqual(ways.slice(0, 2));
  tried.length = 0;
  await expect(firstProven(ways, attempt(3))).rejects.toThrow('way 3');
  const lost = async () => {
    throw new Error('device lost');
  };
  await expect(firstProven(ways, lost)).rejects.toThrow('device lost');
});
