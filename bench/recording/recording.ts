import { readFileSync } from 'node:fs';
import type { AttentionShape } from '../../src/kernel/shape.ts';
import type { InputSet } from '../kernels/inputs.ts';

/** How many of a recording's first and of its newest keys a longer cache has once. It repeats those between. */
const SINK = 64;
const NEWEST = 256;

/** q, K and V of a model in f16, as bench/recording/record.py wrote them. The heads of several layers are taken for those of one. */
export interface Recording {
  tokens: number;
  kvHeads: number;
  queryHeads: number;
  headSize: number;
  queries: number;
  /** [queries, queryHeads, headSize] */
  q: Uint16Array<ArrayBuffer>;
  /** [kvHeads, tokens, headSize] */
  k: Uint16Array<ArrayBuffer>;
  v: Uint16Array<ArrayBuffer>;
}

export function loadRecording(path: string): Recording {
  const file = readFileSync(path);
  const newline = file.indexOf(10);
  const header = JSON.parse(file.subarray(0, newline).toString()) as {
    tokens: number;
    layers: number[];
    kvHeads: number;
    heads: number;
    headSize: number;
    queries: number;
  };
  const { tokens, layers, headSize, queries } = header;
  const data = new Uint16Array(new Uint8Array(file.subarray(newline + 1)).buffer);
  const kvHeads = header.kvHeads * layers.length;
  const queryHeads = header.heads * layers.length;
  const q = new Uint16Array(queries * queryHeads * headSize);
  const k = new Uint16Array(kvHeads * tokens * headSize);
  const v = new Uint16Array(k.length);
  const perQuery = header.heads * headSize;
  const perCache = header.kvHeads * tokens * headSize;
  let at = 0;
  layers.forEach((_, layer) => {
    for (let i = 0; i < queries; i++, at += perQuery) {
      q.set(data.subarray(at, at + perQuery), i * queryHeads * headSize + layer * perQuery);
    }
    for (const cache of [k, v]) {
      cache.set(data.subarray(at, at + perCache), layer * perCache);
      at += perCache;
    }
  });
  return { tokens, kvHeads, queryHeads, headSize, queries, q, k, v };
}

/** Whether the recording has this shape. */
export function fits(recording: Recording, shape: AttentionShape): boolean {
  return (
    shape.dtype === 'f16' &&
    shape.kvHeads === recording.kvHeads &&
    shape.queryHeads === recording.queryHeads &&
    shape.headSize === recording.headSize
  );
}

/**
 * Makes sets of inputs of any length from a recording. Its first 64 and its newest 256 keys are taken once. Those between are repeated
 * as often as it takes; for a shorter cache the last of them are left out. Each set has another of the recording's last queries.
 */
export function recordedInputs(
  device: GPUDevice,
  recording: Recording,
  length: number,
  count: number,
): InputSet[] {
  const { kvHeads, queryHeads, headSize, tokens, queries } = recording;
  const stretch = (cache: Uint16Array<ArrayBuffer>) => {
    const out = new Uint16Array(kvHeads * length * headSize);
    const middle = tokens - SINK - NEWEST;
    for (let head = 0; head < kvHeads; head++) {
      const rows = (to: number, from: number, n: number) =>
        out.set(
          cache.subarray((head * tokens + from) * headSize, (head * tokens + from + n) * headSize),
          (head * length + to) * headSize,
        );
      const newest = Math.min(NEWEST, Math.max(0, length - SINK));
      rows(0, 0, Math.min(SINK, length));
      for (let to = SINK; to < length - newest; to += middle) {
        rows(to, SINK, Math.min(middle, length - newest - to));
      }
      rows(length - newest, tokens - newest, newest);
    }
    return out;
  };
  const buffer = (data: Uint16Array<ArrayBuffer>) => {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const made = device.createBuffer({ size: data.byteLength, usage });
    device.queue.writeBuffer(made, 0, data);
    return made;
  };
  const k = stretch(recording.k);
  const v = stretch(recording.v);
  const perQuery = queryHeads * headSize;
  return Array.from({ length: count }, (_, i) => {
    const query = queries - 1 - (i % queries);
    return {
      q: buffer(recording.q.slice(query * perQuery, (query + 1) * perQuery)),
      keys: buffer(k),
      values: buffer(v),
    };
  });
}
