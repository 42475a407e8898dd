/// <reference types="node" />
/**
 * A WebGPU device for tests and benches: the browser's, or Dawn's in Node. In Node, `VK_DRIVER_FILES` chooses the driver
 * (tools/setup sets it to the browser's software driver where there is no GPU).
 */
export async function testDevice(options: { timestamps?: boolean } = {}): Promise<GPUDevice> {
  const gpu = await findGpu();
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('No WebGPU adapter.');
  const wanted: GPUFeatureName[] = ['subgroups', 'shader-f16'];
  if (options.timestamps) wanted.push('timestamp-query');
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  return adapter.requestDevice({
    requiredFeatures: wanted.filter((name) => adapter.features.has(name)),
    requiredLimits: { maxStorageBufferBindingSize, maxBufferSize },
  });
}

/** Dawn's instance must outlive its devices. */
let dawnInstance: GPU | undefined;

async function findGpu(): Promise<GPU> {
  if (typeof navigator !== 'undefined' && navigator.gpu) return navigator.gpu;
  const { createRequire } = await import('node:module');
  // A GPU machine brings its own build of Dawn and names it.
  const dawn = createRequire(import.meta.url)(process.env.DAWN_NODE ?? 'webgpu');
  Object.assign(globalThis, dawn.globals);
  dawnInstance ??= dawn.create(['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia']) as GPU;
  return dawnInstance;
}
