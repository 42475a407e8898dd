// Does the actions of a sequence on a real web-llm engine over a library without a model (src/testing/web-llm says what is real).
import source from '../../../node_modules/@mlc-ai/web-llm/lib/index.js?raw';
import { enableSift, type Sift } from '../../../src/index.ts';
import { download } from '../../../src/kernel/gpu/transfer.ts';
import { outputError } from '../../../src/kernel/proof/test-cases.ts';
import { expectedOutput, TestEngine } from '../../../src/testing/web-llm/engine.ts';
import type { LibraryOptions } from '../../../src/testing/web-llm/library.ts';
import { loadWebLlm } from '../../../src/testing/web-llm/runtime.ts';
import { outcomeOf } from '../outcome.ts';
import { OtherWrapper } from '../page/other-library.ts';
import * as witness from '../page/witness.ts';
import { type Action, type Answer, POLICIES, type PolicyName, WRAPPED } from './action.ts';

witness.beginWitness();
const SHAPE = { queryHeads: 8, kvHeads: 2, headSize: 32, dtype: 'f32' } as const;
const LIBRARY: LibraryOptions = { shape: SHAPE, layers: 2, pageSize: 16, maxPages: 64, seed: 5 };
const MODEL = 'test-model';

const web = await loadWebLlm(source);
// One device for all engines: on another, all kernels would be compiled anew. An engine that is unloaded would end it.
const found = (await web.detectGPUDevice())!;
const { device } = found;
Object.defineProperty(device, 'destroy', { value: () => {}, configurable: true });
web.detectGPUDevice = async () => found;
witness.watchDevice(device);
const deviceBefore = [witness.remember(device), witness.remember(device.queue)] as const;

interface Message {
  role: string;
  content: string;
}

let rig = new TestEngine(web, LIBRARY);
let sift: Sift | undefined;
let messages: Message[] = [];
/** In the order of their actions; undefined where this version of web-llm has no such method. */
const wrappers: (OtherWrapper | undefined)[] = [];
const everWrapped: OtherWrapper[] = [];

const enabled = (policy: PolicyName) => enableSift(rig.engine, { ...POLICIES[policy], siftFrom: 0 });
const answer = (...outcomes: string[]): Answer => ({ outcomes, reply: null, outputs: null, error: null });

/** The attention of the last decode step, and how far it is from dense attention. */
async function lastStep(): Promise<Pick<Answer, 'outputs' | 'error'>> {
  const { library, context } = rig.loaded;
  if (library.last.length === 0) return { outputs: null, error: null };
  const outputs: number[][] = [];
  let worst = 0;
  for (const [layer, { output }] of library.last.entries()) {
    const got = await download(
      device,
      context.bufferTable[output]!,
      SHAPE.queryHeads * SHAPE.headSize,
      'f32',
    );
    worst = Math.max(worst, outputError(got, expectedOutput(library, layer), SHAPE));
    outputs.push(Array.from(got));
  }
  return { outputs, error: worst };
}

/** A request and what came of it. */
async function request(action: Action & { do: 'chat' }): Promise<Answer> {
  if (!action.goesOn) messages = [];
  // Only a step of this request counts.
  rig.loaded.library.last = [];
  messages.push({ role: 'user', content: 'x'.repeat(action.letters) });
  try {
    const reply = action.stream
      ? String(await rig.stream(messages, action.count))
      : await rig.chat(messages, action.count);
    messages.push({ role: 'assistant', content: action.stream ? 'y' : reply });
    return { outcomes: ['ok'], reply, ...(await lastStep()) };
  } catch (error) {
    return answer(String(error));
  }
}

async function interrupt(letters: number, at: number): Promise<void> {
  messages = [];
  let pieces = 0;
  const stream = (await rig.engine.chat.completions.create({
    ...{
      messages: [{ role: 'user', content: 'x'.repeat(letters) }],
      max_tokens: 60,
      temperature: 0,
      stream: true,
    },
  })) as AsyncIterable<object>;
  for await (const _ of stream) if (++pieces === at) await rig.engine.interruptGenerate();
}

/** Cuts the cache and decodes one token after it. */
async function cut(share: number): Promise<Answer> {
  const { pipeline, library } = rig.loaded;
  const length = Math.max(2, Math.floor(library.keys[0]!.length * share));
  for (const list of [...library.keys, ...library.values]) list.length = Math.min(list.length, length);
  pipeline.filledKVCacheLength = library.keys[0]!.length;
  library.last = [];
  messages = [];
  try {
    await (pipeline.forwardTokensAndSample as (ids: number[], prefill: boolean) => Promise<number>)(
      [2],
      false,
    );
    return { outcomes: ['ok'], reply: null, ...(await lastStep()) };
  } catch (error) {
    return answer(String(error));
  }
}

async function load(): Promise<void> {
  await rig.engine.reload(MODEL);
  messages = [];
}

function objectOf(target: (typeof WRAPPED)[number][0]): object {
  const models = rig.engine.loadedModelIdToPipeline;
  return { device, queue: device.queue, models, pipeline: rig.model?.pipeline ?? models }[target];
}

async function act(action: Action): Promise<Answer> {
  switch (action.do) {
    case 'load':
      return answer(await outcomeOf(load));
    case 'unload':
      return answer(await outcomeOf(() => rig.engine.unload()));
    case 'enable':
      return answer(
        await outcomeOf(async () => {
          sift = await enabled(action.policy);
        }),
      );
    case 'enable twice': {
      const both = [enabled(action.policy), enabled(action.policy)].map((promise) =>
        outcomeOf(async () => {
          sift = await promise;
        }),
      );
      return answer(...(await Promise.all(both)));
    }
    case 'switch on':
      return answer(await outcomeOf(() => sift!.enable()));
    case 'switch off':
      return answer(await outcomeOf(() => sift!.disable()));
    case 'dispose': {
      const outcomes = [await outcomeOf(() => sift!.dispose()), await outcomeOf(() => sift!.dispose())];
      outcomes.push(await outcomeOf(() => sift!.enable()));
      sift = undefined;
      return answer(...outcomes);
    }
    case 'report':
      return answer(await outcomeOf(() => sift!.report()));
    case 'reset':
      messages = [];
      return answer(await outcomeOf(() => rig.engine.resetChat()));
    case 'chat':
      return request(action);
    case 'interrupt':
      return answer(await outcomeOf(() => interrupt(action.letters, action.at)));
    case 'cut':
      return cut(action.share);
    case 'wrap': {
      const [target, method] = WRAPPED[action.method]!;
      const object = objectOf(target);
      const known = typeof (object as Record<string, unknown>)[method] === 'function';
      const wrapper = known ? new OtherWrapper(object, method) : undefined;
      wrappers.push(wrapper);
      if (wrapper) everWrapped.push(wrapper);
      return answer('ok');
    }
    case 'unwrap':
      wrappers.splice(action.which, 1)[0]?.remove(action.blindly);
      return answer('ok');
  }
}

const putBack = (object: object, method: string): boolean => {
  const now = (object as Record<string, unknown>)[method];
  return everWrapped.some(
    (other) => other.object === object && (other.over === now || other.wrapper === now),
  );
};

/** Ends a sequence; what was left behind. */
async function finish(): Promise<string[]> {
  const left: string[] = [];
  const ended = await outcomeOf(() => sift?.dispose());
  if (ended !== 'ok') left.push(ended);
  sift = undefined;
  for (const wrapper of wrappers.splice(0).reverse()) wrapper?.remove(false);
  const objects: [string, object, Map<PropertyKey, unknown>][] = [
    ['device', device, deviceBefore[0]],
    ['queue', device.queue, deviceBefore[1]],
    ['models', rig.engine.loadedModelIdToPipeline, new Map()],
  ];
  if (rig.model) objects.push(['pipeline', rig.model.pipeline, new Map()]);
  for (const [name, object, before] of objects)
    for (const change of witness.changes(name, object, before)) {
      const method = change.slice(name.length + 1);
      // The runtime's own functions, and two of the stand-in's (src/testing/web-llm/engine.ts): only methods of the class are wrapped.
      if (!(method in Object.getPrototypeOf(object)) || /^sample.*Logits$/.test(method)) continue;
      if (!putBack(object, method)) left.push(`replaced: ${change}`);
      if (before.has(method)) (object as Record<string, unknown>)[method] = before.get(method);
      else delete (object as Record<string, unknown>)[method];
    }
  left.push(...witness.changedPrototypes().map((change) => `replaced: ${change}`));
  everWrapped.splice(0);
  // The sequence's engine goes, and with it its buffers; the plugin's are gone already.
  left.push(...(await witness.livingBuffers()).map((buffer) => `buffer: ${buffer}`));
  witness.forgetBuffers();
  await rig.engine.unload();
  rig = new TestEngine(web, LIBRARY);
  messages = [];
  left.push(...witness.takeErrors());
  return left;
}

/** Does actions on an engine of its own; what the last of them answers. */
async function replay(actions: Action[]): Promise<Answer> {
  let last = answer();
  for (const action of actions) last = await act(action);
  await finish();
  return last;
}

const api = { act, finish, replay };
export type WebLlmPage = typeof api;
declare global {
  interface Window {
    webLlm: WebLlmPage;
  }
}
window.webLlm = api;
