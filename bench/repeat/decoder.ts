import { readFileSync } from 'node:fs';
import { SessionDecoder } from '../../lab/decoding/session-decoder.ts';
import type { OrtModule } from '../../lab/node/onnxruntime.ts';
import { type RandomDtype, randomModel, SHAPES, type ShapeName } from '../../lab/random-model/index.ts';
import { readFile } from '../../lab/random-model/model-file.ts';

export interface RandomDecoderOptions {
  shape: ShapeName;
  /** Layers, instead of those of the shape. */
  layers: number | undefined;
  dtype: RandomDtype;
  /** Positions of the rotary tables. */
  positions: number;
}

/** Opens a session on a decoder with random weights, in the form of the exports on the hub. */
export async function openRandomDecoder(
  ort: OrtModule,
  { shape, layers, dtype, positions }: RandomDecoderOptions,
): Promise<{ decoder: SessionDecoder; layers: number }> {
  const resolved = { ...SHAPES[shape], layers: layers ?? SHAPES[shape].layers };
  const tokenizer = readFileSync('models/tiny/tokenizer.json', 'utf8');
  const { files } = randomModel(resolved, { dtype, positions, tokenizer });
  const read = (path: string) => readFile(files.get(path)!);
  const name = `model_${dtype}.onnx`;
  const config = JSON.parse(new TextDecoder().decode(await read('config.json')));
  const externalData = [{ path: `${name}_data`, data: await read(`onnx/${name}_data`) }];
  const cacheType = dtype === 'q4' ? 'float32' : 'float16';
  const graph = await read(`onnx/${name}`);
  const decoder = await SessionDecoder.open(ort, graph, config, cacheType, { externalData });
  return { decoder, layers: resolved.layers };
}
