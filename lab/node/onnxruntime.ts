// onnxruntime-web in Node: the runtime of the browser, over Dawn.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type * as Ort from 'onnxruntime-web/webgpu';
import { resolvePackage } from './packages.ts';

export type OrtModule = typeof Ort;

/** The runtime's module and its WebAssembly, as onnxruntime-web calls them. */
export const ORT_MODULE = 'ort.webgpu.bundle.min.mjs';
export const ORT_WASM = 'ort-wasm-simd-threaded.asyncify.wasm';

/** The folder of onnxruntime-web's files: ORT_DIST, `ort/` beside the script, or the installed package's. */
function findDist(): string {
  const carried = process.env.ORT_DIST ?? join(dirname(process.argv[1] ?? '.'), 'ort');
  if (existsSync(join(carried, ORT_MODULE))) return carried;
  return dirname(resolvePackage('onnxruntime-web/webgpu'));
}

/** Loads onnxruntime-web's WebGPU build. Dawn must have been started. The WebAssembly may be compressed. */
export async function loadOrt(): Promise<OrtModule> {
  const dist = findDist();
  const ort: OrtModule = await import(/* @vite-ignore */ pathToFileURL(join(dist, ORT_MODULE)).href);
  const wasm = join(dist, ORT_WASM);
  const bytes = existsSync(wasm) ? readFileSync(wasm) : gunzipSync(readFileSync(`${wasm}.gz`));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = new Uint8Array(bytes);
  return ort;
}

/** The device that the runtime has made for its sessions. */
export const runtimeDevice = async (ort: OrtModule): Promise<GPUDevice> =>
  (await ort.env.webgpu.device) as GPUDevice;
