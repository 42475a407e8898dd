/** What a buffer was last written with; null for buffers that hold no uniforms. */
type Contents = { bytes: Uint8Array<ArrayBuffer>; view: DataView } | null;

/** A property on the buffer itself, the cheapest place: the runtime writes one for every dispatch. */
const CONTENTS = Symbol('sift uniforms');
type TaggedBuffer = GPUBuffer & { [CONTENTS]?: Contents };

/** Copies of what the runtime writes to its uniform buffers. */
export class UniformRecord {
  of(buffer: TaggedBuffer): DataView | undefined {
    return buffer[CONTENTS]?.view;
  }

  /** Takes `queue.writeBuffer`'s arguments. */
  write(
    buffer: TaggedBuffer,
    offset: number,
    data: ArrayBufferView | ArrayBufferLike,
    dataOffset = 0,
    size?: number,
  ): void {
    let contents = buffer[CONTENTS];
    if (contents === undefined) contents = describe(buffer);
    if (contents === null) return;
    const { bytes } = contents;
    if (data instanceof Uint8Array) {
      // The runtime's heap: a view of it, or its `buffer`, costs more than the few bytes.
      const end = size ?? data.length - dataOffset;
      for (let i = 0; i < end; i++) bytes[offset + i] = data[dataOffset + i]!;
      return;
    }
    const view = ArrayBuffer.isView(data);
    const unit = view && 'BYTES_PER_ELEMENT' in data ? (data as Uint8Array).BYTES_PER_ELEMENT : 1;
    const start = (view ? data.byteOffset : 0) + dataOffset * unit;
    const length = size === undefined ? data.byteLength - dataOffset * unit : size * unit;
    bytes.set(new Uint8Array(view ? data.buffer : data, start, length), offset);
  }
}

function describe(buffer: TaggedBuffer): Contents {
  let contents: Contents = null;
  if (buffer.usage & GPUBufferUsage.UNIFORM) {
    const bytes = new Uint8Array(buffer.size);
    contents = { bytes, view: new DataView(bytes.buffer) };
  }
  buffer[CONTENTS] = contents;
  return contents;
}
