/// <reference types="node" />
/**
 * A WebGPU device for tests and benches: the browser's, or Dawn's in Node. In Node, `VK_DRIVER_FILES` chooses the driver; where it is not
 * set and there is no GPU, it is the browser's software driver.
 */
export async function testDevice(options: { timestamps?: boolean } = {}): Promise<GPUDevice> {
  const adapter = await testAdapter();
  const wanted: GPUFeatureName[] = ['subgroups', 'shader-f16'];
  if (options.timestamps) wanted.push('timestamp-query');
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  return adapter.requestDevice({
    requiredFeatures: wanted.filter((name) => adapter.features.has(name)),
    requiredLimits: { maxStorageBufferBindingSize, maxBufferSize },
  });
}

/** The adapter of {@link testDevice}. Each has one device. */
export async function testAdapter(): Promise<GPUAdapter> {
  const wanted = { powerPreference: 'high-performance' } as const;
  const gpu = await findGpu();
  const adapter = (await gpu.requestAdapter(wanted)) ?? (await softwareGpu())?.requestAdapter(wanted);
  const found = await adapter;
  if (!found) throw new Error('No WebGPU adapter.');
  return found;
}

/** Dawn on the browser's software driver, in Node, unless another driver was chosen. */
async function softwareGpu(): Promise<GPU | undefined> {
  if (typeof process === 'undefined' || process.env.VK_DRIVER_FILES) return undefined;
  const { findSoftwareDriver } = await import('../../tools/setup/software-driver.ts');
  process.env.VK_DRIVER_FILES = findSoftwareDriver();
  dawnInstance = undefined;
  return findGpu();
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
