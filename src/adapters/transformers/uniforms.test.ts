import { beforeAll, describe, expect, test } from 'vitest';
import { UniformRecord } from './uniforms.ts';

const UNIFORM = 64;
const buffer = (usage: number, size = 16) => ({ usage, size }) as unknown as GPUBuffer;

describe('UniformRecord', () => {
  beforeAll(() => {
    Object.assign(globalThis, { GPUBufferUsage: { UNIFORM } });
  });

  test('keeps what was written last, whatever array it came in', () => {
    const record = new UniformRecord();
    const uniforms = buffer(UNIFORM);
    record.write(uniforms, 0, Uint8Array.of(9, 9, 1, 0, 0, 0, 2, 0, 0, 0, 9), 2, 8);
    expect([0, 4].map((at) => record.of(uniforms)!.getUint32(at, true))).toEqual([1, 2]);
    // Offsets count elements in arrays and bytes in buffers.
    record.write(uniforms, 4, Uint32Array.of(7, 8, 9), 1, 1);
    expect(record.of(uniforms)!.getUint32(4, true)).toBe(8);
    record.write(uniforms, 8, Float32Array.of(1.5).buffer);
    expect(record.of(uniforms)!.getFloat32(8, true)).toBe(1.5);
    expect(record.of(uniforms)!.getUint32(0, true)).toBe(1);
  });

  test('other buffers are not kept', () => {
    const record = new UniformRecord();
    const storage = buffer(128);
    record.write(storage, 0, Uint8Array.of(1, 2, 3, 4));
    expect(record.of(storage)).toBeUndefined();
  });
});
