import { createRequire } from 'node:module';
import { resolve } from 'node:path';

/**
 * Timestamp quantization is off in the benchmark alone: Dawn rounds them to 0.07 ms otherwise. `DAWN_FEATURES=disable_robustness` leaves
 * out the bounds checks that browsers add, to see what they cost.
 */
const FLAGS = [
  `enable-dawn-features=${['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia', process.env.DAWN_FEATURES].filter(Boolean).join(',')}`,
  'disable-dawn-features=timestamp_quantization',
];

/** What our kernels or the runtime's may use. */
const FEATURES = /^timestamp-query$|^shader-f16$|subgroup/;

/** Dawn crashes if its instance is collected before its devices. */
let instance: GPU | undefined;

/** Dawn in Node: the build that DAWN_NODE names, or the npm package. It becomes `navigator.gpu`, for onnxruntime-web. */
export async function startDawn(): Promise<GPU> {
  if (instance) return instance;
  const build = process.env.DAWN_NODE;
  const dawn = build
    ? createRequire(import.meta.url)(build.includes('/') ? resolve(build) : build)
    : await import('webgpu');
  Object.assign(globalThis, dawn.globals);
  const gpu = dawn.create(FLAGS) as GPU;
  instance = gpu;
  if (globalThis.navigator === undefined) Object.defineProperty(globalThis, 'navigator', { value: {} });
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
  return gpu;
}

/** A device for timing, with all that the adapter has. */
export async function openDevice(
  gpu: GPU,
  wanted: (feature: string) => boolean = () => true,
): Promise<GPUDevice> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('No WebGPU adapter.');
  if (!adapter.features.has('timestamp-query')) throw new Error('The adapter has no timestamp queries.');
  const { limits } = adapter;
  const names = [
    'maxStorageBufferBindingSize',
    'maxBufferSize',
    'maxComputeWorkgroupStorageSize',
    'maxComputeInvocationsPerWorkgroup',
    'maxComputeWorkgroupSizeX',
    'maxComputeWorkgroupSizeY',
    'maxComputeWorkgroupSizeZ',
    'maxComputeWorkgroupsPerDimension',
    'maxStorageBuffersPerShaderStage',
  ] as const;
  const device = await adapter.requestDevice({
    requiredFeatures: [...adapter.features].filter(
      (name) => FEATURES.test(name) && wanted(name),
    ) as GPUFeatureName[],
    requiredLimits: Object.fromEntries(names.map((name) => [name, limits[name]])),
  });
  device.addEventListener('uncapturederror', (event) => {
    console.error(`GPU error: ${event.error.message}`);
    process.exitCode = 1;
  });
  return device;
}

/** The adapter in words. */
export function describeDevice(device: GPUDevice): string {
  const { vendor, architecture, description } = device.adapterInfo;
  return description || [vendor, architecture].filter(Boolean).join(' ') || 'unknown';
}
