import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { AutoModelForCausalLM, AutoTokenizer, env, Tensor } from '@huggingface/transformers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unpackFloat16 } from '../../src/kernel/gpu/float16.ts';
import { writeModel } from '../node/write-model.ts';
import { DataType, decodeOnnx } from '../onnx-graph.ts';
import { ROOT } from '../root.ts';
import { type RandomModel, randomModel, readFile, SHAPES, type ShapeName } from './index.ts';

const tokenizer = readFileSync(join(ROOT, 'models/tiny/tokenizer.json'), 'utf8');
const DTYPES = ['q4', 'q4f16'] as const;
const ELEMENT_BYTES = { [DataType.FLOAT]: 4, [DataType.FLOAT16]: 2, [DataType.UINT8]: 1 } as Record<
  number,
  number
>;

/** The tensors beside the model: where they lie, and their type and shape. */
async function placesOf(model: RandomModel) {
  const graph = decodeOnnx(await readFile(model.files.get(`onnx/model_${model.dtype}.onnx`)!)).graph!;
  const tensors = graph.initializer!.filter(({ externalData }) => externalData?.length);
  return tensors.map(({ name, dataType, dims, externalData }) => {
    const { location, offset, length } = Object.fromEntries(
      externalData!.map(({ key, value }) => [key, value]),
    );
    return {
      name: name!,
      dataType: dataType!,
      dims: dims!.map(Number),
      location,
      offset: Number(offset),
      length: Number(length),
    };
  });
}

describe.each(Object.keys(SHAPES) as ShapeName[])('%s', (name) => {
  test.each(DTYPES)('%s: the tensors fill the file beside the model', async (dtype) => {
    const model = randomModel(name, { dtype, tokenizer });
    let end = 0;
    for (const { name, dataType, dims, location, offset, length } of await placesOf(model)) {
      expect(location).toBe(`model_${dtype}.onnx_data`);
      expect([name, length]).toEqual([name, dims.reduce((a, b) => a * b, ELEMENT_BYTES[dataType]!)]);
      expect(offset).toBe(Math.ceil(end / 4096) * 4096);
      end = offset + length;
    }
    expect(model.files.get(`onnx/model_${dtype}.onnx_data`)!.bytes).toBe(end);
    // Browsers have arrays of that many bytes, and the runtime's memory has room for them.
    expect(end).toBeLessThan(2 ** 31);
  });
});

test('sizes of the published shapes', () => {
  const megabytes = (shape: ShapeName, dtype: 'q4' | 'q4f16') => {
    const { bytes, kvBytesPerToken } = randomModel(shape, { dtype, tokenizer });
    return [Math.round(bytes / 1e6), kvBytesPerToken];
  };
  expect(megabytes('llama-3.2-1b', 'q4f16')).toEqual([1240, 32768]);
  expect(megabytes('llama-3.2-1b', 'q4')).toEqual([1860, 65536]);
  expect(megabytes('qwen3-0.6b', 'q4f16')).toEqual([684, 114688]);
  expect(megabytes('qwen3-0.6b', 'q4')).toEqual([1067, 229376]);
});

describe('small', () => {
  const options = { positions: 1500, tokenizer };
  const dataOf = (model: RandomModel) => readFile(model.files.get(`onnx/model_${model.dtype}.onnx_data`)!);

  test('streams the announced bytes, the same ones for the same seed alone', async () => {
    const model = randomModel('small', { dtype: 'q4', ...options });
    const data = await dataOf(model);
    const { bytes, stream } = model.files.get('onnx/model_q4.onnx_data')!;
    const streamed = new Uint8Array(await new Response(stream()).arrayBuffer());
    expect(streamed.length).toBe(bytes);
    expect(Buffer.compare(streamed, data)).toBe(0);
    expect(Buffer.compare(await dataOf(randomModel('small', { dtype: 'q4', ...options })), data)).toBe(0);
    expect(
      Buffer.compare(await dataOf(randomModel('small', { dtype: 'q4', ...options, seed: 2 })), data),
    ).not.toBe(0);
  });

  test.each(DTYPES)('%s: the rotary tables are cosines and sines at every position', async (dtype) => {
    const model = randomModel('small', { dtype, ...options });
    const [data, places] = [await dataOf(model), await placesOf(model)];
    for (const [name, f] of [
      ['cos_cache', Math.cos],
      ['sin_cache', Math.sin],
    ] as const) {
      const { offset, length, dims } = places.find((place) => place.name === name)!;
      expect(dims).toEqual([1500, 32]);
      const bytes = data.slice(offset, offset + length).buffer;
      const values = dtype === 'q4' ? new Float32Array(bytes) : unpackFloat16(new Uint16Array(bytes));
      const wrong = values.findIndex(
        (value, i) =>
          Math.abs(value - f(Math.floor(i / 32) * 500_000 ** (-(i % 32) / 32))) >
          (dtype === 'q4' ? 1e-7 : 5e-4),
      );
      expect(wrong).toBe(-1);
    }
  });
});

describe('in transformers.js', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sift-random-'));
    env.allowRemoteModels = false;
    env.localModelPath = dirname(folder);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  // A small model of the other type, with a head size of its own.
  const qwen3 = { ...SHAPES.small, modelType: 'qwen3', layers: 2, headSize: 128, vocabulary: 9000 } as const;
  test.each([
    { title: 'small', shape: SHAPES.small, dtype: 'q4' },
    { title: 'small', shape: SHAPES.small, dtype: 'q4f16' },
    { title: 'a qwen3', shape: qwen3, dtype: 'q4' },
    { title: 'a qwen3', shape: qwen3, dtype: 'q4f16' },
  ] as const)(
    '$title, $dtype: logits are finite, and those of tokens and positions differ',
    async ({ shape, dtype }) => {
      writeModel(folder, randomModel(shape, { dtype, positions: 512, tokenizer }));
      const name = basename(folder);
      expect((await AutoTokenizer.from_pretrained(name)).encode('a<|endoftext|>')).toEqual([65, 0]);
      const model = await AutoModelForCausalLM.from_pretrained(name, { dtype, device: 'cpu' });
      const ids = [5, 900, 17, 4000, 4001, 33, 8191, 5];
      const { logits } = await model({
        input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
        attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]),
      });
      expect(logits.dims).toEqual([1, ids.length, shape.vocabulary]);
      const rows = ids.map((_, i) =>
        (logits.data as Float32Array).subarray(i * shape.vocabulary, (i + 1) * shape.vocabulary),
      );
      for (const row of rows) {
        expect(row.every(Number.isFinite)).toBe(true);
        expect(row[0]).toBe(0);
        expect(Math.sqrt(row.reduce((sum, x) => sum + x * x, 0) / row.length)).toBeCloseTo(2.5, 0);
        // Hardly any two tokens have the same row of weights.
        if (dtype === 'q4') expect(new Set(row).size).toBeGreaterThan(0.99 * row.length);
      }
      expect(new Set(rows.map((row) => row.indexOf(Math.max(...row)))).size).toBeGreaterThan(ids.length / 2);
      await model.dispose();
    },
  );
});
