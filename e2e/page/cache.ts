// What the tests of the shared KV cache need of a page.
import { DynamicCache, Tensor, type TextGenerationPipeline } from '@huggingface/transformers';
import { observe, removeAll } from '../../lab/webgpu-calls/observe.ts';
import { intercept } from '../../src/adapters/shared/interception.ts';

/** Bytes in GPU buffers that were created and not destroyed since the counting began. */
export interface MemoryCount {
  bytes: number;
  /** Leaves buffers that are created later out of the count. */
  stop(): void;
}

/**
 * Counts a device's buffers from now on.
 * @param labelled only those whose label begins with it; ours begin with `sift`
 */
export function countMemory(device: GPUDevice, labelled = ''): MemoryCount {
  const created = observe(device, 'createBuffer', (buffer, [{ label }]) => {
    if (!(label ?? '').startsWith(labelled)) return;
    count.bytes += buffer.size;
    const destroyed = observe(buffer, 'destroy', () => {
      count.bytes -= buffer.size;
      destroyed.remove();
    });
  });
  const count: MemoryCount = { bytes: 0, stop: () => created.remove() };
  return count;
}

/**
 * Makes every buffer of at least `bytes` whose label begins with `labelled` fail for want of memory, until the returned function is called.
 */
export function exhaustMemory(device: GPUDevice, bytes: number, labelled = 'sift past'): () => void {
  let failed = false;
  const interceptions = [
    observe(device, 'createBuffer', (_, [{ size, label }]) => {
      if (size >= bytes && label?.startsWith(labelled)) failed = true;
    }),
    intercept(device, 'popErrorScope', (original, interception) => async () => {
      const error = await original.call(device);
      if (!interception.active) return error;
      const report = failed;
      failed = false;
      return report ? new GPUOutOfMemoryError('not enough memory (made by the test)') : error;
    }),
  ];
  return () => removeAll(interceptions);
}

const ids = (tokens: number[]): Tensor =>
  new Tensor('int64', BigInt64Array.from(tokens, BigInt), [1, tokens.length]);

/**
 * A conversation whose cache the caller keeps: each turn's tokens are added and some are generated.
 * @param before called before each turn, with its number.
 * @returns the tokens of the whole conversation.
 */
export async function converse(
  generator: TextGenerationPipeline,
  turns: number[][],
  count: number,
  before: (turn: number) => void = () => {},
): Promise<number[]> {
  const cache = new DynamicCache();
  let all: number[] = [];
  for (const [turn, tokens] of turns.entries()) {
    before(turn);
    all.push(...tokens);
    const output = (await generator.model.generate({
      inputs: ids(all),
      past_key_values: cache,
      max_new_tokens: count,
      do_sample: false,
      eos_token_id: -1,
    } as never)) as Tensor;
    all = Array.from(output.data as BigInt64Array, Number);
  }
  await cache.dispose();
  return all;
}

/** Two continuations of one prompt, decoded in turns from the same past; the logits of both. */
export async function fork(
  generator: TextGenerationPipeline,
  prompt: number[],
  continuations: [number[], number[]],
): Promise<{ logits: number[][]; past: number[] }> {
  type Outputs = Record<string, Tensor>;
  const model = generator.model as unknown as { forward(inputs: object): Promise<Outputs> };
  const pastOf = (outputs: Outputs) =>
    new DynamicCache(
      Object.fromEntries(
        Object.entries(outputs)
          .filter(([name]) => name.startsWith('present'))
          .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
      ),
    );
  const mask = (length: number) => ids(Array(length).fill(1));
  const start = await model.forward({ input_ids: ids(prompt), attention_mask: mask(prompt.length) });
  const pasts = [pastOf(start), pastOf(start)];
  const held: Outputs[] = [start];
  const logits: number[][] = [];
  for (let i = 0; i < continuations[0].length; i++) {
    for (const branch of [0, 1] as const) {
      const outputs = await model.forward({
        input_ids: ids([continuations[branch][i]!]),
        attention_mask: mask(prompt.length + i + 1),
        past_key_values: pasts[branch],
      });
      logits.push(Array.from(outputs.logits!.data as Float32Array));
      pasts[branch] = pastOf(outputs);
      held.push(outputs);
    }
  }
  const past = Array.from((await pasts[1]!['past_key_values.0.value']!.ort_tensor.getData()) as Float32Array);
  for (const outputs of held)
    for (const tensor of Object.values(outputs)) if (tensor.location === 'gpu-buffer') tensor.dispose();
  return { logits, past };
}
