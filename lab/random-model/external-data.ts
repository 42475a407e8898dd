import type { ExternalPlace } from '../onnx-graph.ts';
import { lazyFile, type ModelFile } from './model-file.ts';

/** ONNX recommends that tensors begin on pages of this many bytes, so that a file can be mapped into memory. */
const PAGE = 4096;
/** The most bytes in a chunk: few enough that a reader shows progress, enough that chunks cost nothing. */
const CHUNK = 4 * 2 ** 20;

type Chunks = () => Iterable<Uint8Array<ArrayBuffer>>;

/** The file of a model's large tensors. It is put together while it is read. */
export class ExternalData {
  private readonly tensors: { name: string; offset: number; bytes: number; chunks: Chunks }[] = [];
  private end = 0;

  /** @param location - the file's path, seen from the model's folder */
  constructor(private readonly location: string) {}

  /** Appends a tensor of `bytes` bytes, which `chunks` makes. */
  add(name: string, bytes: number, chunks: Chunks): ExternalPlace {
    const offset = Math.ceil(this.end / PAGE) * PAGE;
    this.tensors.push({ name, offset, bytes, chunks });
    this.end = offset + bytes;
    return { location: this.location, offset, length: bytes };
  }

  /** The file with the tensors so far. */
  file(): ModelFile {
    const tensors = [...this.tensors];
    return lazyFile(this.end, function* () {
      let at = 0;
      for (const { name, offset, bytes, chunks } of tensors) {
        if (at < offset) yield new Uint8Array(offset - at);
        let made = 0;
        for (const chunk of chunks()) {
          made += chunk.byteLength;
          yield* cut(chunk);
        }
        if (made !== bytes) throw new Error(`${name} has ${made} bytes, and ${bytes} were announced`);
        at = offset + bytes;
      }
    });
  }
}

function* cut(chunk: Uint8Array<ArrayBuffer>): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < chunk.byteLength; at += CHUNK) yield chunk.subarray(at, at + CHUNK);
}
