import { describe, expect, test } from 'vitest';
import { packFloat16 } from '../../src/kernel/gpu/float16.ts';
import { safetensorsFile } from './fixture.ts';
import { parseSafetensors } from './safetensors.ts';

describe('parseSafetensors', () => {
  const values = new Float32Array([1, -2, 0.5, 4, 0, 6]);

  test.each(['', 'x'])('reads f16 wherever the data is aligned (%j)', (padding) => {
    const header = {
      __metadata__: { padding },
      weight: { dtype: 'F16', shape: [2, 3], data_offsets: [0, 12] },
    };
    const tensor = parseSafetensors(safetensorsFile(header, packFloat16(values))).get('weight');
    expect(tensor).toEqual({ shape: [2, 3], data: values });
  });

  test('reads from a Buffer, whose slice() shares memory', () => {
    const header = { weight: { dtype: 'F32', shape: [6], data_offsets: [0, 24] } };
    const tensors = parseSafetensors(Buffer.from(safetensorsFile(header, values)));
    expect([...tensors.keys()]).toEqual(['weight']);
    expect(tensors.get('weight')!.data).toEqual(values);
  });

  test('refuses other types, wrong sizes and cut-off files', () => {
    const entry = { dtype: 'F32', shape: [6], data_offsets: [0, 24] };
    expect(() => parseSafetensors(safetensorsFile({ w: { ...entry, dtype: 'BF16' } }, values))).toThrow(
      /w is BF16/,
    );
    expect(() => parseSafetensors(safetensorsFile({ w: { ...entry, shape: [7] } }, values))).toThrow(
      /expected 28/,
    );
    expect(() => parseSafetensors(safetensorsFile({ w: entry }, values).subarray(0, -1))).toThrow(/w spans/);
    expect(() => parseSafetensors(safetensorsFile({ w: entry }, values).subarray(0, 20))).toThrow(
      /does not fit/,
    );
    expect(() => parseSafetensors(new Uint8Array(4))).toThrow(/shorter/);
  });
});
