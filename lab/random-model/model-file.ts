/** A file that is made while it is read, as often as it is asked for. */
export interface ModelFile {
  /** Its length. */
  readonly bytes: number;
  /** Its contents in order. Chunks may be views of memory that is read again: they must not be written to or transferred. */
  chunks(): Iterable<Uint8Array<ArrayBuffer>>;
  /** The same as a stream. Nothing is made before it is read. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** A file whose contents are made by `chunks`, which must give as many bytes each time. */
export const lazyFile = (bytes: number, chunks: () => Iterable<Uint8Array<ArrayBuffer>>): ModelFile => ({
  bytes,
  chunks,
  stream: () => streamOf(chunks()),
});

/** A file that is in memory. */
export const fileOf = (contents: Uint8Array<ArrayBuffer>): ModelFile =>
  lazyFile(contents.byteLength, () => [contents]);

/** A file of JSON. */
export const jsonFile = (value: object): ModelFile => fileOf(new TextEncoder().encode(JSON.stringify(value)));

/** The whole of a file. Its memory is allocated once, which `Response.arrayBuffer()` of a stream does not do. */
export async function readFile(file: ModelFile): Promise<Uint8Array<ArrayBuffer>> {
  const contents = new Uint8Array(file.bytes);
  let at = 0;
  for (const chunk of file.chunks()) {
    contents.set(chunk, at);
    at += chunk.byteLength;
  }
  return contents;
}

function streamOf(chunks: Iterable<Uint8Array<ArrayBuffer>>): ReadableStream<Uint8Array<ArrayBuffer>> {
  const iterator = chunks[Symbol.iterator]();
  return new ReadableStream(
    {
      pull(controller) {
        const { done, value } = iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel() {
        iterator.return?.();
      },
    },
    // A stream that is only asked for its length must not draw numbers for a first chunk.
    { highWaterMark: 0 },
  );
}
