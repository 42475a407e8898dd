// WebGPU in Node: Dawn, Chromium's implementation, without a browser.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { resolvePackage } from './packages.ts';

export interface DawnOptions {
  /** Dawn rounds timestamps to 0.07 ms, as browsers do. A benchmark needs them as the device gives them. */
  exactTimestamps?: boolean;
}

/** Dawn crashes if its instance is collected before its devices, so it is kept here. */
let instance: GPU | undefined;

/**
 * Starts Dawn, which becomes `navigator.gpu`; a second call gives the same instance. `DAWN_NODE` names the build: a file, or a package
 * other than `webgpu`. `DAWN_FEATURES` turns on more of Dawn's features: `disable_robustness` leaves out the bounds checks that browsers
 * add, to see what they cost.
 */
export async function startDawn({ exactTimestamps = false }: DawnOptions = {}): Promise<GPU> {
  if (instance) return instance;
  const dawn = await loadDawn();
  Object.assign(globalThis, dawn.globals);
  const features = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia', process.env.DAWN_FEATURES];
  const gpu = dawn.create([
    `enable-dawn-features=${features.filter(Boolean).join(',')}`,
    ...(exactTimestamps ? ['disable-dawn-features=timestamp_quantization'] : []),
  ]);
  instance = gpu;
  // onnxruntime-web looks for all of these.
  const navigator = { gpu, userAgent: 'node', hardwareConcurrency: 1 };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  return gpu;
}

interface DawnModule {
  /** WebGPU's classes and flags by their global names. */
  globals: object;
  create(flags: string[]): GPU;
}

async function loadDawn(): Promise<DawnModule> {
  const build = process.env.DAWN_NODE;
  if (!build) return import(/* @vite-ignore */ pathToFileURL(resolvePackage('webgpu')).href);
  // A build of Dawn is a native module, which cannot be imported.
  return createRequire(import.meta.url)(build.includes('/') ? resolve(build) : resolvePackage(build));
}
