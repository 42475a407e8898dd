import type { DataType } from '@huggingface/transformers';

/** What the page can run on. */
export interface Gpu {
  /** A name to show. */
  name: string;
  /** The adapter computes on the processor: everything is slow. */
  software: boolean;
}

/** Why the page cannot run, and what to do. */
export interface NoGpu {
  problem: string;
  remedies: string[];
}

/** Looks for a WebGPU adapter. */
export async function findGpu(): Promise<Gpu | NoGpu> {
  if (!navigator.gpu) {
    return window.isSecureContext
      ? {
          problem: 'This browser has no WebGPU.',
          remedies: [
            'Use a current Chrome or Edge (113 or newer), Safari 26, or Firefox 141 or newer.',
            'On Linux, Chrome may need chrome://flags/#enable-unsafe-webgpu and Vulkan.',
          ],
        }
      : {
          problem: 'WebGPU is only there for pages served over https or from localhost.',
          remedies: ['Open this page through https:// or http://localhost.'],
        };
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    return {
      problem: 'This browser has WebGPU, but found no graphics adapter it will use.',
      remedies: [
        'Turn on hardware acceleration in the settings of the browser, and restart it.',
        'Update the graphics driver; chrome://gpu says why WebGPU is off.',
        'On Linux, start Chrome with --enable-unsafe-webgpu --enable-features=Vulkan.',
      ],
    };
  }
  const { info } = adapter;
  const software =
    info.isFallbackAdapter === true || /swiftshader|llvmpipe|basic render/i.test(describe(info));
  return { name: describe(info) || 'WebGPU adapter', software };
}

/** The dtype in which a model is loaded: without half precision on the GPU, q4f16 would be refused. */
export async function dtypeHere(dtype: DataType): Promise<DataType> {
  if (dtype !== 'q4f16') return dtype;
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  return adapter?.features.has('shader-f16') ? dtype : 'q4';
}

function describe(info: GPUAdapterInfo): string {
  return info.description || [info.vendor, info.architecture].filter(Boolean).join(' ');
}
