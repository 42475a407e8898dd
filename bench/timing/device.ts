import { startDawn } from '../../lab/node/dawn.ts';
import { loadOrt, type OrtModule } from '../../lab/node/onnxruntime.ts';

/** Features that our kernels or the runtime's may use. */
const FEATURES = /^timestamp-query$|^shader-f16$|subgroup/;

/** Starts Dawn for benchmarks. */
export const startGpu = (): Promise<GPU> => startDawn({ exactTimestamps: true });

/** The runtime on the same adapter as {@link openDevice}'s devices. */
export async function loadRuntime(): Promise<OrtModule> {
  const ort = await loadOrt();
  ort.env.webgpu.powerPreference = 'high-performance';
  return ort;
}

/**
 * A device for timing, with the adapter's limits.
 *
 * @param wanted - leaves features of the adapter out
 */
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
