import { type Interception, intercept } from '../../src/adapters/shared/interception.ts';

/**
 * From now on, what is written to a buffer from shared memory is copied first. A runtime's WebAssembly may keep its memory there, and
 * Dawn's binding for Node refuses it.
 */
export function copySharedWrites(): Interception {
  return intercept(
    GPUQueue.prototype,
    'writeBuffer',
    (original, interception) =>
      function (this: GPUQueue, buffer, offset, data, dataOffset = 0, size) {
        const view = ArrayBuffer.isView(data) ? data : undefined;
        const memory = view ? view.buffer : (data as ArrayBufferLike);
        if (!interception.active || !(memory instanceof SharedArrayBuffer))
          return original.call(this, buffer, offset, data as BufferSource, dataOffset, size);
        const unit = (view as Uint8Array | undefined)?.BYTES_PER_ELEMENT ?? 1;
        const start = (view?.byteOffset ?? 0) + dataOffset * unit;
        const length = size === undefined ? (view ?? memory).byteLength - dataOffset * unit : size * unit;
        return original.call(this, buffer, offset, Uint8Array.from(new Uint8Array(memory, start, length)));
      },
  );
}
