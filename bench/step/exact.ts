// Decodes greedily with every row kept on a shared KV cache, and holds each token against the stock runtime: npm run bench -- --exact DIR
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runtimeDevice } from '../../lab/decoding/decoder.ts';
import { type Continuation, continueGreedily } from '../../lab/decoding/forced.ts';
import { type DecoderConfig, SessionDecoder } from '../../lab/decoding/session-decoder.ts';
import { copySharedWrites } from '../../lab/node/shared-memory.ts';
import { enableSift } from '../../src/index.ts';
import { describeDevice, loadRuntime, startGpu } from '../timing/device.ts';
import { summarise } from '../timing/timing.ts';
import { timedDecoder } from './timed-decoder.ts';

/** Greedy tokens after a prompt, each step's logits, and the steps' milliseconds. */
async function decodeGreedily(
  decoder: SessionDecoder,
  prompt: readonly number[],
  count: number,
): Promise<Continuation & { ms: number[] }> {
  const passes: number[] = [];
  const continuation = await continueGreedily(timedDecoder(decoder, passes), prompt, [], count - 1);
  const [, ...ms] = passes; // the first pass is the prompt's
  return { ...continuation, ms };
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
    throw new Error('usage: run.mjs --exact MODEL_DIR --tokens FILE (u16 ids, made by lab/tokenise.ts)');
  await startGpu();
  copySharedWrites();
  const ort = await loadRuntime();
  const config: DecoderConfig = JSON.parse(readFileSync(join(options.exact, 'config.json'), 'utf8'));
  const bytes = readFileSync(options.tokens);
  const ids = Array.from(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 1));
  const type = options.file.includes('f16') || options.file.includes('fp16') ? 'float16' : 'float32';
  const model = readFileSync(join(options.exact, options.file));
  const decoder = await SessionDecoder.open(ort, model, config, type);
  const device = await runtimeDevice(ort.env);
  const prompt = ids.slice(0, Number(options.prompt));

  const sift = await enableSift(decoder.model, { device, tau: 0, cache: 'shared' });
  const ours = await decodeGreedily(decoder, prompt, Number(options.count));
  const { cache, steps } = await sift.report();
  sift.disable();
  const stock = await decodeGreedily(decoder, prompt, Number(options.count));
  const same = stock.top.findIndex((token, i) => token !== ours.top[i]);
  let worst = 0;
  stock.logits.forEach((row, i) => {
    if (same === -1 || i <= same)
      row.forEach((value, j) => {
        worst = Math.max(worst, Math.abs(value - ours.logits[i]![j]!));
      });
  });
  console.log(
    `${describeDevice(device)}, ${options.exact} ${options.file}: ${same === -1 ? `all ${stock.top.length} tokens equal` : `first difference at token ${same}`}, largest logit difference ${worst.toExponential(2)}; runs in place ${cache.steps}, grown ${cache.grown}, steps ${JSON.stringify(steps)}; ms a token: stock ${median(stock.ms)}, ours ${median(ours.ms)}`,
  );
  if (same !== -1) process.exitCode = 1;
}
