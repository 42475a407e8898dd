import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type * as Ort from 'onnxruntime-web/webgpu';
import type { AttentionShape } from '../src/kernel/shape.ts';
import { DataType, MICROSOFT, OnnxGraph } from '../tools/models/onnx-graph.ts';

export type OrtModule = typeof Ort;

const MODULE = 'ort.webgpu.bundle.min.mjs';
const WASM = 'ort-wasm-simd-threaded.asyncify.wasm';

/** The folder of onnxruntime-web's files: ORT_DIST, `ort/` beside the bundle, or the installed package's. */
function findDist(): string {
  const carried = process.env.ORT_DIST ?? join(dirname(process.argv[1] ?? '.'), 'ort');
  if (existsSync(join(carried, MODULE))) return carried;
  return dirname(createRequire(import.meta.url).resolve('onnxruntime-web/webgpu'));
}

/** onnxruntime-web's WebGPU build, in Node. `navigator.gpu` must be there. */
export async function loadOrt(): Promise<OrtModule> {
  const dist = findDist();
  const ort = (await import(/* @vite-ignore */ pathToFileURL(join(dist, MODULE)).href)) as OrtModule;
  const wasm = join(dist, WASM);
  const bytes = existsSync(wasm) ? readFileSync(wasm) : gunzipSync(readFileSync(`${wasm}.gz`));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = new Uint8Array(bytes);
  ort.env.webgpu.powerPreference = 'high-performance';
  return ort;
}

/** A model of one GroupQueryAttention on projected q, k and v, without rotary embedding. */
export function attentionModel(shape: AttentionShape): Uint8Array {
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const type = dtype === 'f16' ? DataType.FLOAT16 : DataType.FLOAT;
  const graph = new OnnxGraph('attention');
  const cache = (rows: string) => [1, kvHeads, rows, headSize];
  const inputs = [
    graph.input('query', type, [1, 1, queryHeads * headSize]),
    graph.input('key', type, [1, 1, kvHeads * headSize]),
    graph.input('value', type, [1, 1, kvHeads * headSize]),
    graph.input('past_key', type, cache('past')),
    graph.input('past_value', type, cache('past')),
    graph.input('seqlens_k', DataType.INT32, [1]),
    graph.input('total_length', DataType.INT32, []),
  ];
  const outputs = [
    graph.output('output', type, [1, 1, queryHeads * headSize]),
    graph.output('present_key', type, cache('total')),
    graph.output('present_value', type, cache('total')),
  ];
  graph.node('attention', 'GroupQueryAttention', inputs, {
    domain: MICROSOFT,
    attributes: { num_heads: queryHeads, kv_num_heads: kvHeads, do_rotary: 0 },
    outputs,
  });
  return graph.encode();
}
