import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RandomModel } from '../random-model/index.ts';

/** Writes a model's files into a folder, from where transformers.js loads them in Node. */
export function writeModel(folder: string, model: RandomModel): void {
  for (const [path, file] of model.files) {
    const place = join(folder, path);
    mkdirSync(dirname(place), { recursive: true });
    const handle = openSync(place, 'w');
    try {
      for (const chunk of file.chunks())
        for (let at = 0; at < chunk.length; ) at += writeSync(handle, chunk, at);
    } finally {
      closeSync(handle);
    }
  }
}
