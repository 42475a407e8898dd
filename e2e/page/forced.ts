import { Tensor, type TextGenerationPipeline } from '@huggingface/transformers';

/** Result of decoding given tokens. */
export interface ForcedDecode {
  /** The most likely token after each step. */
  top: number[];
  /** Log-probabilities after each step, [steps][vocabulary]. */
  logits: Float32Array[];
}

type Outputs = Record<string, Tensor>;

/**
 * Prefills a prompt and then decodes one token at a time: the given ones, and after them the most likely ones.
 * @param free tokens to generate after the forced ones.
 */
export async function decodeForced(
  generator: TextGenerationPipeline,
  prompt: number[],
  forced: number[],
  free: number,
): Promise<ForcedDecode> {
  const model = generator.model as unknown as {
    forward(inputs: object): Promise<Outputs>;
    sessions: Record<string, { inputNames: string[] }>;
  };
  const session = Object.values(model.sessions)[0]!;
  const int64 = (values: number[]) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  let outputs = await model.forward({ input_ids: int64(prompt), attention_mask: int64(prompt.map(() => 1)) });
  const result: ForcedDecode = { top: [], logits: [] };
  const record = () => {
    const { data, dims } = outputs.logits!;
    const vocabulary = dims.at(-1)!;
    const last = (data as Float32Array).slice(-vocabulary);
    let best = 0;
    for (let i = 1; i < vocabulary; i++) if (last[i]! > last[best]!) best = i;
    result.top.push(best);
    result.logits.push(last);
  };
  record();
  for (let i = 0, length = prompt.length; i < forced.length + free; i++, length++) {
    const token = i < forced.length ? forced[i]! : result.top.at(-1)!;
    const past: Outputs = {};
    for (const name of session.inputNames) {
      if (name.startsWith('past_key_values'))
        past[name] = outputs[name.replace('past_key_values', 'present')]!;
    }
    Object.defineProperty(past, 'get_seq_length', { value: () => length });
    const before = outputs;
    outputs = await model.forward({
      input_ids: int64([token]),
      attention_mask: int64(Array(length + 1).fill(1)),
      past_key_values: past,
    });
    for (const tensor of Object.values(before)) if (tensor.location === 'gpu-buffer') tensor.dispose();
    record();
  }
  for (const tensor of Object.values(outputs)) if (tensor.location === 'gpu-buffer') tensor.dispose();
  return result;
}
