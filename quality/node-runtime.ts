// onnxruntime-web over Dawn in Node: the runtime of the browser, without one.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Ort from 'onnxruntime-web';

export type OrtModule = typeof Ort;

/** Keeps Dawn's instance alive: its devices do not. */
let gpu: GPU | undefined;

/**
 * Makes WebGPU and onnxruntime-web available in Node. `DAWN_NODE` names a build of Dawn (default: the npm package `webgpu`),
 * `ORT_DIST` the folder of onnxruntime-web's files.
 */
export async function loadRuntime(): Promise<OrtModule> {
  const require = createRequire(join(process.cwd(), 'package.json'));
  const dawn = require(process.env.DAWN_NODE ?? 'webgpu');
  Object.assign(globalThis, dawn.globals);
  gpu = dawn.create(['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia']) as GPU;
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu, userAgent: 'node', hardwareConcurrency: 1 },
    configurable: true,
  });
  copySharedWrites();
  const dist = resolve(process.env.ORT_DIST ?? 'node_modules/onnxruntime-web/dist');
  const ort: OrtModule = await import(
    /* @vite-ignore */ pathToFileURL(join(dist, 'ort.webgpu.min.mjs')).href
  );
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = pathToFileURL(`${dist}/`).href;
  ort.env.logLevel = 'error';
  return ort;
}

/** Dawn's Node binding refuses data in shared memory, which is where a wasm heap may lie. */
export function copySharedWrites(): void {
  const write = GPUQueue.prototype.writeBuffer as (...args: unknown[]) => undefined;
  GPUQueue.prototype.writeBuffer = function (this: GPUQueue, buffer, offset, data, dataOffset = 0, size) {
    const view = ArrayBuffer.isView(data) ? data : undefined;
    const memory = view ? view.buffer : (data as ArrayBufferLike);
    if (!(memory instanceof SharedArrayBuffer))
      return write.call(this, buffer, offset, data, dataOffset, size);
    const unit = (view as Uint8Array | undefined)?.BYTES_PER_ELEMENT ?? 1;
    const start = (view?.byteOffset ?? 0) + dataOffset * unit;
    const length = size === undefined ? (view ?? memory).byteLength - dataOffset * unit : size * unit;
    return write.call(this, buffer, offset, Uint8Array.from(new Uint8Array(memory, start, length)));
  };
}
