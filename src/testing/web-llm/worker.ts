// A worker as the README shows it, on a library without a model: the handler gets the messages, sift is enabled where the engine is.
import source from '../../../node_modules/@mlc-ai/web-llm/lib/index.js?raw';
import { enableSift } from '../../index.ts';
import { TestEngine } from './engine.ts';
import { loadWebLlm } from './runtime.ts';

const web = await loadWebLlm(source);
const handler = new web.WebWorkerMLCEngineHandler();
new TestEngine(
  web,
  {
    shape: { queryHeads: 8, kvHeads: 2, headSize: 32, dtype: 'f32' },
    ...{ layers: 3, pageSize: 16, maxPages: 40, seed: 5 },
  },
  {},
  handler.engine,
);
const sift = await enableSift(handler, { tau: 0.75, warmup: 2, siftFrom: 0 });

self.onmessage = (message: MessageEvent) => handler.onmessage(message);
// The test's own messages go beside web-llm's.
const channel = new BroadcastChannel('sift-test');
channel.onmessage = async () => channel.postMessage(await sift.report());
channel.postMessage('ready');
