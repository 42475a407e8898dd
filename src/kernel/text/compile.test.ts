import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AttentionShape } from '../shape.ts';
import { DEFAULT_TUNING } from '../step/tuning.ts';
import { assemble } from './assemble.ts';
import { hasKernel, KERNEL_NAMES, kernelOf } from './kernels.ts';
import { CONTIGUOUS_KV } from './kv-layout.ts';
import { pagedKv } from './kv-paged.ts';

// Dawn, here without a GPU, is the WebGPU of Chromium. It compiles for devices that CI does not have.
let instance: GPU | undefined;
let device: GPUDevice;

beforeAll(async () => {
  const dawn = await import('webgpu');
  Object.assign(globalThis, dawn.globals);
  instance = dawn.create(['backend=null']) as GPU;
  const adapter = await instance.requestAdapter();
  device = await adapter!.requestDevice({ requiredFeatures: ['shader-f16', 'subgroups'] });
});

afterAll(() => {
  device.destroy();
  instance = undefined;
});

const SHAPES = [
  [32, 8, 64],
  [32, 8, 128],
  [14, 2, 64],
  [8, 8, 64],
  [32, 4, 80],
  [16, 1, 20],
  [9, 3, 256],
  [8, 1, 512],
  [4, 4, 12],
] as const;

/** KV layouts, and whether the layer has attention sinks. */
const LAYERS = [
  [CONTIGUOUS_KV, false],
  [CONTIGUOUS_KV, true],
  [pagedKv(16), false],
] as const;

test.each(KERNEL_NAMES)(
  '%s compiles for every shape and subgroup size, unrolled',
  async (name) => {
    const wrong: string[] = [];
    for (const [queryHeads, kvHeads, headSize] of SHAPES) {
      for (const dtype of ['f32', 'f16'] as const) {
        const shape: AttentionShape = { queryHeads, kvHeads, headSize, dtype };
        // The largest size for some shapes: each takes as long as all sizes of a small one.
        const largest = queryHeads === 32 ? [128] : [];
        for (const subgroupSize of [0, 4, 8, 16, 32, 64, ...largest]) {
          for (const halfScreen of dtype === 'f16' && subgroupSize > 0 ? [false, true] : [false]) {
            for (const [kv, sinks] of LAYERS) {
              // Some devices allow larger workgroups: half of the texts are compiled with those.
              const tuning = { ...DEFAULT_TUNING, learnWorkgroup: halfScreen ? 1024 : 256 };
              const variant = { subgroupSize, halfScreen, packedDot: true, kv, tuning };
              if (!hasKernel(name, variant)) continue;
              const kernel = kernelOf(name, variant, { ...shape, sinks });
              if (sinks && !kernel.buffers.some((buffer) => buffer.name === 'sinks')) continue;
              device.pushErrorScope('validation');
              const code = assemble(kernel, shape, variant);
              const module = device.createShaderModule({ code });
              const { messages } = await module.getCompilationInfo();
              await device.popErrorScope();
              for (const { type, lineNum, message } of messages) {
                if (type === 'error')
                  wrong.push(
                    `${JSON.stringify({ ...shape, subgroupSize, halfScreen, sinks })}: ${lineNum} ${message}`,
                  );
              }
            }
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  },
  120_000,
);
