import { rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { AutoModelForCausalLM, AutoTokenizer, env } from '@huggingface/transformers';
import { DataType, decodeOnnx, encodeOnnx } from '../../lab/onnx-graph.ts';
import { Compensation } from './compensation.ts';
import { encodeDocuments, forward } from './measure.ts';

const WINDOW = 1024;

/** Windows used, from the end of the text: the beginning is what losses are measured on. */
const WINDOWS = 32;

const FILE = 'calibration';

/**
 * Runs the unquantised model on a text and returns, for each matrix (by its constant's name), the compensation
 * for the inputs that it saw.
 *
 * @param fp32 - the encoded fp32 graph
 * @param folder - folder of the converted model, with its config and tokenizer; a file is put there and removed
 */
export async function calibrate(
  fp32: Uint8Array,
  folder: string,
  text: string,
): Promise<Map<string, Compensation>> {
  const { model: bytes, inputs } = withGramOutputs(fp32);
  const file = join(folder, 'onnx', `${FILE}.onnx`);
  const saved = { path: env.localModelPath, remote: env.allowRemoteModels };
  env.localModelPath = dirname(resolve(folder));
  env.allowRemoteModels = false;
  writeFileSync(file, bytes);
  try {
    const name = basename(resolve(folder));
    const tokenizer = await AutoTokenizer.from_pretrained(name);
    const model = await AutoModelForCausalLM.from_pretrained(name, {
      dtype: 'fp32',
      device: 'cpu',
      model_file_name: FILE,
    });
    const ids = encodeDocuments(tokenizer, text);
    const windows = Math.min(WINDOWS, Math.floor(ids.length / WINDOW));
    if (windows === 0) throw new Error(`The calibration text has fewer than ${WINDOW} tokens`);
    const grams = new Map<string, Float64Array>();
    for (let w = windows; w > 0; w--) {
      const start = ids.length - w * WINDOW;
      const outputs = await forward(model, ids.slice(start, start + WINDOW));
      for (const value of new Set(inputs.values())) {
        const gram = outputs[gramName(value)]!.data as Float32Array;
        const sum = grams.get(value) ?? new Float64Array(gram.length);
        gram.forEach((x, i) => {
          sum[i]! += x;
        });
        grams.set(value, sum);
      }
      for (const tensor of Object.values(outputs)) tensor.dispose();
    }
    await model.dispose();
    // Several matrices read the same value; its factorisation is made once.
    const made = new Map([...grams].map(([value, gram]) => [value, new Compensation(gram)]));
    return new Map([...inputs].map(([weight, value]) => [weight, made.get(value)!]));
  } finally {
    rmSync(file);
    env.localModelPath = saved.path;
    env.allowRemoteModels = saved.remote;
  }
}

const gramName = (value: string) => `${value}/gram`;

/** Adds the outputs XᵀX for each distinct input X of a MatMul; says which constant is multiplied with which X. */
function withGramOutputs(fp32: Uint8Array): { model: Uint8Array; inputs: Map<string, string> } {
  const model = decodeOnnx(fp32);
  const graph = model.graph!;
  const inputs = new Map<string, string>();
  for (const node of graph.node!) {
    if (node.opType === 'MatMul') inputs.set(node.input![1]!, node.input![0]!);
  }
  for (const value of new Set(inputs.values())) {
    const transposed = `${value}/transposed`;
    const perm = { name: 'perm', type: 7, ints: [0, 2, 1] }; // AttributeType INTS
    graph.node!.push(
      { opType: 'Transpose', name: transposed, input: [value], output: [transposed], attribute: [perm] },
      { opType: 'MatMul', name: gramName(value), input: [transposed, value], output: [gramName(value)] },
    );
    graph.output!.push({ name: gramName(value), type: { tensorType: { elemType: DataType.FLOAT } } });
  }
  return { model: encodeOnnx(model), inputs };
}
