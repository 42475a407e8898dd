import { env } from '@huggingface/transformers';
import {
  type RandomModel,
  randomModel,
  SHAPES,
  serveRandomModel,
} from '../../../../lab/random-model/index.ts';
import { fileOf } from '../../../../lab/random-model/model-file.ts';
import tokenizer from '../../../../models/tiny/tokenizer.json?raw';
import type { CacheShape } from './past.ts';

export type Dtype = 'q4' | 'q4f16';

/** A model that can be measured. */
export interface BenchModelChoice {
  /** As results name it. */
  name: string;
  /** What the page calls it. */
  title: string;
  /** Of its files. */
  bytes(dtype: Dtype): number;
  /** Positions that it has, at most. */
  positions: number;
  shape: Omit<CacheShape, 'type'> & { queryHeads: number };
  /**
   * Has transformers.js find it.
   * @returns the id that `pipeline` takes, and what ends it
   */
  serve(dtype: Dtype): Promise<{ id: string; end: () => void }>;
}

/** 131,072 and room for what is decoded after them. */
const POSITIONS = 135_168;

const EMBEDDED_FOLDER = '../../../../models/tiny/';
/** The embedded language model's files: all others are made in the page. */
const EMBEDDED = import.meta.glob<string>('../../../../models/tiny/**/*.{json,onnx}', {
  query: '?url',
  import: 'default',
  eager: true,
});

function random(name: keyof typeof SHAPES, title: string): BenchModelChoice {
  const { layers, queryHeads, kvHeads, headSize } = SHAPES[name];
  const make = (dtype: Dtype) => randomModel(name, { dtype, positions: POSITIONS, tokenizer });
  return {
    name,
    title,
    bytes: (dtype) => make(dtype).bytes,
    positions: POSITIONS,
    shape: { layers, queryHeads, kvHeads, headSize },
    async serve(dtype) {
      const id = `random/${name}`;
      return { id, end: serveRandomModel(env, id, make(dtype)) };
    },
  };
}

/** What is read of a random model where it is served, of a model whose files lie on the page's server. */
async function embeddedModel(): Promise<Pick<RandomModel, 'files'>> {
  const files = await Promise.all(
    Object.entries(EMBEDDED).map(async ([path, url]) => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`${url} was not found.`);
      return [
        path.slice(EMBEDDED_FOLDER.length),
        fileOf(new Uint8Array(await response.arrayBuffer())),
      ] as const;
    }),
  );
  return { files: new Map(files) };
}

const embedded: BenchModelChoice = {
  name: 'embedded',
  title: 'The embedded language model, 4.7M',
  bytes: () => 7e6,
  positions: 8192,
  shape: { layers: 3, queryHeads: 8, kvHeads: 2, headSize: 64 },
  async serve() {
    const id = 'embedded/tiny';
    return { id, end: serveRandomModel(env, id, await embeddedModel()) };
  },
};

export const MODELS: readonly BenchModelChoice[] = [
  random('small', 'Small, for software adapters'),
  random('qwen3-0.6b', 'Qwen3-0.6B, random weights'),
  random('llama-3.2-1b', 'Llama-3.2-1B, random weights'),
  embedded,
];
