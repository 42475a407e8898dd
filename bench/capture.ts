// What the runtime's own graph capture does in the installed build, in Node: node .cache/bench/capture.mjs
import { readFileSync } from 'node:fs';
import type { InferenceSession } from 'onnxruntime-web';
import { runtimeDevice } from '../lab/decoding/decoder.ts';
import { SessionDecoder } from '../lab/decoding/session-decoder.ts';
import { copySharedWrites } from '../lab/node/shared-memory.ts';
import { CallRecorder } from '../lab/webgpu-calls/call-recorder.ts';
import { enableSift } from '../src/index.ts';
import { FixedBuffers } from './repeat/fixed-buffers.ts';
import { GRAPH_READY, graphReadyModel } from './repeat/graph-ready-model.ts';
import { loadRuntime, startGpu } from './timing/device.ts';

const STEPS = 70;

await startGpu();
const recorder = new CallRecorder();
copySharedWrites();
const ort = await loadRuntime();
const config = {
  num_hidden_layers: 1,
  num_key_value_heads: GRAPH_READY.heads,
  head_dim: GRAPH_READY.headSize,
  vocab_size: GRAPH_READY.vocabulary,
};
const capture: InferenceSession.SessionOptions = {
  executionProviders: [{ name: 'webgpu' }],
  enableGraphCapture: true,
};
const open = (options: InferenceSession.SessionOptions): Promise<SessionDecoder> =>
  SessionDecoder.open(ort, graphReadyModel(), config, 'float32', {
    ...options,
    preferredOutputLocation: 'gpu-buffer',
  });
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const difference = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);

// A decoder as the hub has them, which sums up its attention mask on the CPU.
const usual = readFileSync('models/tiny/onnx/model_q4.onnx');
await ort.InferenceSession.create(usual, capture).then(
  () => console.log('a usual decoder: captured'),
  (error) => console.log(`a usual decoder: ${messageOf(error)}`),
);

const plain = await open({ executionProviders: [{ name: 'webgpu' }] });
const stock = await new FixedBuffers(ort, await runtimeDevice(ort.env)).decode(plain.session, STEPS);

const decoder = await open(capture);
const device = await runtimeDevice(ort.env);
const buffers = new FixedBuffers(ort, device);
const kinds: string[][] = [];
const captured = await buffers.decode(decoder.session, STEPS, async (run) => {
  recorder.begin();
  await run();
  kinds.push(recorder.end().map(({ kind }) => kind));
});
const counted = (names: readonly string[]) =>
  [...new Set(names)].map((name) => `${names.filter((each) => each === name).length} ${name}`).join(', ');
console.log(`captured, first step: ${counted(kinds[0]!)}`);
console.log(`captured, last step: ${counted(kinds.at(-1)!)}`);
console.log(`captured, largest difference of a logit from stock: ${difference(stock, captured)}`);

const replayed = await new FixedBuffers(ort, device).decode(decoder.session, STEPS);
console.log(`with other buffers than were captured: ${difference(stock, replayed)}`);
await enableSift(decoder.model, { device }).then(
  () => console.log('enableSift: it is on'),
  (error) => console.log(`enableSift: ${error.code}: ${messageOf(error)}`),
);
const after = await buffers.decode(decoder.session, STEPS);
console.log(`captured, after enableSift: ${difference(stock, after)}`);
process.exit();
