// Greedy decoding with every row kept on a shared KV cache, token by token against the stock runtime: npm run bench -- --exact DIR
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { copySharedWrites } from '../quality/node-runtime.ts';
import { Decoder, type DecoderConfig } from '../quality/pipeline.ts';
import { enableSift } from '../src/index.ts';
import { describeDevice, startDawn } from './dawn.ts';
import { loadOrt } from './ort.ts';
import { summarise } from './timing.ts';

/** Greedy tokens after a prompt, and each step's logits. */
async function decodeGreedily(
  decoder: Decoder,
  prompt: readonly number[],
  count: number,
): Promise<{ tokens: number[]; logits: Float32Array[]; ms: number[] }> {
  const tokens: number[] = [];
  const logits: Float32Array[] = [];
  const ms: number[] = [];
  let outputs = await decoder.forward(decoder.inputs(prompt, prompt.length));
  for (;;) {
    const { data, dims } = outputs.logits!.ort_tensor as unknown as { data: Float32Array; dims: number[] };
    const row = Float32Array.from(data.slice(-dims.at(-1)!));
    logits.push(row);
    tokens.push(row.indexOf(row.reduce((a, b) => Math.max(a, b))));
    const past = decoder.pastOf(outputs);
    if (tokens.length < count) {
      const length = prompt.length + tokens.length;
      const start = performance.now();
      outputs = await decoder.forward({ ...decoder.inputs([tokens.at(-1)!], length), past_key_values: past });
      ms.push(performance.now() - start);
    }
    for (const tensor of Object.values(past)) tensor.dispose();
    if (tokens.length === count) return { tokens, logits, ms };
  }
}

const median = (ms: readonly number[]): string => summarise(ms).median.toFixed(1);

/** Runs the comparison with the arguments of the command line. */
export async function checkExactness(args: string[]): Promise<void> {
  const { values: options } = parseArgs({
    args,
    options: {
      exact: { type: 'string' },
      file: { type: 'string', default: 'onnx/model_q4.onnx' },
      tokens: { type: 'string' },
      prompt: { type: 'string', default: '500' },
      count: { type: 'string', default: '512' },
    },
  });
  if (!options.exact || !options.tokens)
    throw new Error('usage: run.mjs --exact MODEL_DIR --tokens FILE (u16 ids, made by quality/tokenise.ts)');
  await startDawn();
  copySharedWrites();
  const ort = await loadOrt();
  const config: DecoderConfig = JSON.parse(readFileSync(join(options.exact, 'config.json'), 'utf8'));
  const presents = Array.from({ length: config.num_hidden_layers }, (_, i) => [
    `present.${i}.key`,
    `present.${i}.value`,
  ]);
  const session = await ort.InferenceSession.create(readFileSync(join(options.exact, options.file)), {
    executionProviders: ['webgpu'],
    preferredOutputLocation: Object.fromEntries(presents.flat().map((name) => [name, 'gpu-buffer' as const])),
  });
  const device = (await ort.env.webgpu.device) as GPUDevice;
  const bytes = readFileSync(options.tokens);
  const ids = Array.from(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 1));
  const type = options.file.includes('f16') || options.file.includes('fp16') ? 'float16' : 'float32';
  const decoder = new Decoder(ort as never, session, config, type);
  const prompt = ids.slice(0, Number(options.prompt));

  const sift = await enableSift(decoder.pipeline, { device, tau: 0, cache: 'shared' });
  const ours = await decodeGreedily(decoder, prompt, Number(options.count));
  const { cache, steps } = await sift.report();
  sift.disable();
  const stock = await decodeGreedily(decoder, prompt, Number(options.count));
  const same = stock.tokens.findIndex((token, i) => token !== ours.tokens[i]);
  let worst = 0;
  stock.logits.forEach((row, i) => {
    if (same === -1 || i <= same)
      row.forEach((value, j) => {
        worst = Math.max(worst, Math.abs(value - ours.logits[i]![j]!));
      });
  });
  console.log(
    `${describeDevice(device)}, ${options.exact} ${options.file}: ${same === -1 ? `all ${stock.tokens.length} tokens equal` : `first difference at token ${same}`}, largest logit difference ${worst.toExponential(2)}; runs in place ${cache.steps}, grown ${cache.grown}, steps ${JSON.stringify(steps)}; ms a token: stock ${median(stock.ms)}, ours ${median(ours.ms)}`,
  );
  if (same !== -1) process.exitCode = 1;
}
