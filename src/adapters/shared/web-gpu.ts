import { SiftError } from '../../errors.ts';

/** @throws {SiftError} `NO_WEBGPU` if pages and workers have none here */
export function checkWebGpu(): void {
  if (typeof GPUDevice !== 'undefined') return;
  throw new SiftError(
    'NO_WEBGPU',
    'There is no WebGPU here. It needs a current Chrome, Edge, Safari or Firefox, and a page served over https or from localhost.',
  );
}

/**
 * Asks the browser for a GPU adapter, but for no device.
 * @throws {SiftError} `NO_WEBGPU` if there is none
 */
export async function checkAdapter(): Promise<void> {
  checkWebGpu();
  if (await navigator.gpu.requestAdapter()) return;
  throw new SiftError(
    'NO_WEBGPU',
    'The browser has WebGPU, but no GPU adapter for it: the GPU or its driver may be on a blocklist, or hardware acceleration switched off.',
  );
}
