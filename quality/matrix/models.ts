import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { decodeOnnx } from '../../lab/onnx-graph.ts';
import { describeAttention } from './graph.ts';

/** A model of the folder. */
export interface Model {
  name: string;
  dtype: string;
  /** The class that its config.json names. */
  architecture: string;
  /** The attention of its graph, in words; null if the file is too large to be read here. */
  attention: string | null;
}

/** Types of weights in the order in which they are tried, with the ends of the names of their files. */
const SUFFIXES = { q4: '_q4', fp32: '', q4f16: '_q4f16', fp16: '_fp16' } as const;
/** Names of decoders, without the suffix of their type. */
const DECODERS = ['decoder_model_merged', 'model'];
/** Larger graphs have their weights inside, and are not read for a line of text. */
const READ_LIMIT = 2 ** 29;

function decoderFile(folder: string, dtype: string): string | undefined {
  const suffix = SUFFIXES[dtype as keyof typeof SUFFIXES] ?? `_${dtype}`;
  return DECODERS.map((name) => join(folder, 'onnx', `${name}${suffix}.onnx`)).find((file) =>
    existsSync(file),
  );
}

function attentionOf(file: string): string | null {
  if (statSync(file).size > READ_LIMIT) return null;
  const { graph } = decodeOnnx(readFileSync(file));
  return graph ? describeAttention(graph) : null;
}

/**
 * The models of a folder, by name.
 *
 * @param only - names of those that are wanted; null: all
 * @param dtype - type of their weights; null: the first that a model has
 * @throws Error if one of the names is no model, or has not that type
 */
export function findModels(folder: string, only: readonly string[] | null, dtype: string | null): Model[] {
  const all = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'config.json')));
  const names = only ?? all.sort();
  return names.map((name) => {
    if (!all.includes(name)) throw new Error(`${name} is no model of ${folder}.`);
    const path = join(folder, name);
    const types = dtype === null ? Object.keys(SUFFIXES) : [dtype];
    const found = types.find((type) => decoderFile(path, type) !== undefined);
    if (found === undefined) throw new Error(`${name} has no decoder of the type ${types.join(' or ')}.`);
    const { architectures } = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
    return {
      name,
      dtype: found,
      architecture: architectures?.[0] ?? 'unknown',
      attention: attentionOf(decoderFile(path, found)!),
    };
  });
}
