import type { WgslField } from '../../src/adapters/shared/wgsl-declarations.ts';
import type { FieldValue } from './webgpu-call.ts';

/** Reads the fields of a uniform buffer. Fields beyond the buffer's end are left out. */
export function readFields(fields: readonly WgslField[], contents: DataView): FieldValue[] {
  return fields.map(({ name, type, offset }) => ({ name, values: readValue(type, contents, offset) }));
}

/** The components of a value, one after another. */
function readValue(type: string, contents: DataView, offset: number): number[] {
  const array = /^array<(.+),(\d+)>$/.exec(type);
  if (array) {
    const element = array[1]!;
    // In a uniform buffer the elements of an array are a multiple of 16 bytes apart.
    return Array.from({ length: Number(array[2]) }, (_, i) =>
      readValue(element, contents, offset + 16 * i),
    ).flat();
  }
  const [, width = '1', scalar = type] = /^vec([234])<(\w+)>$/.exec(type) ?? [];
  const bytes = scalar === 'f16' ? 2 : 4;
  return Array.from({ length: Number(width) }, (_, i) => offset + i * bytes)
    .filter((at) => at + bytes <= contents.byteLength)
    .map((at) => readScalar(scalar, contents, at));
}

function readScalar(type: string, contents: DataView, at: number): number {
  if (type === 'f32') return contents.getFloat32(at, true);
  if (type === 'i32') return contents.getInt32(at, true);
  // The bits of an f16 tell as well as its value whether it changed.
  return type === 'f16' ? contents.getUint16(at, true) : contents.getUint32(at, true);
}
