import { expect, test } from 'vitest';
import { SiftError } from '../../errors.ts';
import type { AttentionShape } from '../shape.ts';
import type { KernelVariant } from '../text/variant.ts';
import { firstProven, kernelVariants } from './variants.ts';

const shape = (dtype: 'f16' | 'f32'): AttentionShape => ({ queryHeads: 8, kvHeads: 2, headSize: 64, dtype });

function device(...features: string[]): GPUDevice {
  const adapterInfo = { subgroupMinSize: 32, subgroupMaxSize: 32, architecture: '', description: '' };
  const limits = { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256 };
  return { features: new Set(features), adapterInfo, limits } as unknown as GPUDevice;
}

const short = (variants: readonly KernelVariant[]) =>
  variants.map(({ subgroupSize, halfScreen }) => [subgroupSize, halfScreen]);

test('the variants of a device, the fastest first', () => {
  expect(short(kernelVariants(device('subgroups', 'shader-f16'), shape('f16')))).toEqual([
    [32, true],
    [32, false],
    [0, false],
  ]);
  const whole = [
    [32, false],
    [0, false],
  ];
  expect(short(kernelVariants(device('subgroups', 'shader-f16'), shape('f32')))).toEqual(whole);
  expect(short(kernelVariants(device('subgroups'), shape('f16')))).toEqual(whole);
  expect(short(kernelVariants(device('shader-f16'), shape('f16')))).toEqual([[0, false]]);
});

test('a variant that fails its self-test gives way to the next; another error does not', async () => {
  const variants = kernelVariants(device('subgroups', 'shader-f16'), shape('f16'));
  const tried: KernelVariant[] = [];
  const attempt = (fails: number) => async (variant: KernelVariant) => {
    tried.push(variant);
    if (tried.length <= fails) throw new SiftError('SELF_TEST_FAILED', `variant ${tried.length}`);
    return variant;
  };
  expect(await firstProven(variants, attempt(1))).toBe(variants[1]);
  expect(tried).toEqual(variants.slice(0, 2));
  tried.length = 0;
  await expect(firstProven(variants, attempt(3))).rejects.toThrow('variant 3');
  const lost = async () => {
    throw new Error('device lost');
  };
  await expect(firstProven(variants, lost)).rejects.toThrow('device lost');
});
