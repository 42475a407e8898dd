// Does the actions of a sequence in a browser: the real transformers.js, the real plugin, small real models.
// Sift may be enabled at any time, also after generations without it.
import '../../../src/register.ts';
import { DynamicCache, env, pipeline, type TextGenerationPipeline } from '@huggingface/transformers';
import { useServedModels } from '../../../lab/decoding/hub-decoder.ts';
import { hideNarrowSubgroups } from '../../../lab/narrow-subgroups.ts';
import { enableSift, type Sift } from '../../../src/index.ts';
import {
  type Action,
  type Call,
  MODEL_OF_SLOT,
  type Outcome,
  type Part,
  POLICIES,
  type PolicyName,
  type Script,
  WRAPPED,
} from '../action.ts';
import { outcomeOf } from '../outcome.ts';
import { type Chat, continueTwice, crop, generate } from './calls.ts';
import { OtherWrapper } from './other-library.ts';
import * as witness from './witness.ts';

// Prompts are wrong in this runtime on subgroups of 4 lanes, the software adapter's.
hideNarrowSubgroups();
useServedModels('/models/');
witness.beginWitness();

interface Slot {
  generator: TextGenerationPipeline;
  sift: Sift | undefined;
  session: object;
  before: { session: ReturnType<typeof witness.remember>; model: ReturnType<typeof witness.remember> };
}

const slots: (Slot | undefined)[] = [];
const chats: (Chat & { slot: number })[] = [];
const wrappers: OtherWrapper[] = [];
/** Every wrapper of the other library's in this sequence. */
const everWrapped: OtherWrapper[] = [];
let device: GPUDevice | undefined;
let deviceBefore: [ReturnType<typeof witness.remember>, ReturnType<typeof witness.remember>];

/** Pipelines for conversations that are done again: without sift, and with it, by model. */
const fresh = new Map<string, Slot & { policy: PolicyName | null }>();

const enabled = (slot: Slot, policy: PolicyName) =>
  enableSift(slot.generator, { ...POLICIES[policy], siftFrom: 0 });

async function load(model: string): Promise<Slot> {
  const generator = (await pipeline('text-generation', model, {
    device: 'webgpu',
    dtype: 'fp32',
  })) as TextGenerationPipeline;
  // With its last session the runtime may give its device up, and take another for the next.
  const now = (await (env.backends.onnx as { webgpu: { device: Promise<GPUDevice> } }).webgpu
    .device) as GPUDevice;
  if (now !== device) {
    device = now;
    deviceBefore = [witness.remember(device), witness.remember(device.queue)];
    witness.watchDevice(device);
  }
  const session = Object.values(generator.model.sessions)[0] as object;
  return {
    generator,
    sift: undefined,
    session,
    before: { session: witness.remember(session), model: witness.remember(generator.model) },
  };
}

function interjector(slot: Slot, call: Call): () => Promise<void> | void {
  const { sift } = slot;
  return () => {
    const does = call.interjection?.does;
    if (!sift || !does) return;
    if (does === 'report') return sift.report().then(() => {});
    sift[does]();
    if (does === 'dispose') slot.sift = undefined;
  };
}

const generateIn = (slot: Slot, call: Call, chat?: Chat): Promise<Outcome> =>
  generate(slot.generator, call, interjector(slot, call), chat);

/** What an action answers: outcomes of calls, and of everything else. */
export interface Answer {
  calls: Outcome[];
  others: string[];
}

const calls = async (...all: Promise<Outcome>[]): Promise<Answer> => ({
  calls: await Promise.all(all),
  others: [],
});
const others = async (...all: Promise<string>[]): Promise<Answer> => ({
  calls: [],
  others: await Promise.all(all),
});

async function act(action: Action): Promise<Answer> {
  const slot = 'slot' in action ? slots[action.slot]! : undefined!;
  const enable = (target: Slot, policy: PolicyName) =>
    outcomeOf(async () => {
      target.sift = await enabled(target, policy);
    });
  switch (action.do) {
    case 'load':
      return others(
        outcomeOf(async () => {
          slots[action.slot] = await load(MODEL_OF_SLOT[action.slot]!);
        }),
      );
    case 'unload':
      return others(outcomeOf(() => unload(action.slot)));
    case 'enable':
      return others(enable(slot, action.policy));
    case 'enable twice':
      return others(enable(slot, action.policy), enable(slot, action.policy));
    case 'enable both':
      return others(enable(slot, action.policy), enable(slots[action.other]!, action.policy));
    case 'enable while generating': {
      const generation = generateIn(slots[action.other]!, action.call);
      const outcome = enable(slot, action.policy);
      return { calls: [await generation], others: [await outcome] };
    }
    case 'unload while enabling': {
      const enabling = enable(slot, action.policy);
      await new Promise((resolve) => setTimeout(resolve, action.delay));
      const unloaded = await outcomeOf(() => unload(action.slot));
      return { calls: [], others: [await enabling, unloaded] };
    }
    case 'switch on':
      return others(outcomeOf(() => slot.sift!.enable()));
    case 'switch off':
      return others(outcomeOf(() => slot.sift!.disable()));
    case 'dispose': {
      const { sift } = slot;
      slot.sift = undefined;
      const first = await outcomeOf(() => sift!.dispose());
      return others(
        Promise.resolve(first),
        outcomeOf(() => sift!.dispose()),
        outcomeOf(() => sift!.enable()),
      );
    }
    case 'report':
      return others(outcomeOf(() => slot.sift!.report()));
    case 'generate':
      return calls(generateIn(slot, action.call));
    case 'generate together':
      return calls(generateIn(slot, action.call), generateIn(slots[action.other]!, action.otherCall));
    case 'begin chat': {
      const chat = { slot: action.slot, cache: new DynamicCache(), tokens: [] };
      chats.push(chat);
      return calls(generateIn(slot, action.call, chat));
    }
    case 'go on': {
      const chat = chats[action.chat]!;
      return calls(generateIn(slots[chat.slot]!, action.call, chat));
    }
    case 'crop': {
      const chat = chats[action.chat]!;
      return others(outcomeOf(() => crop(chat, action.length)));
    }
    case 'two continuations': {
      const chat = chats[action.chat]!;
      return calls(continueTwice(slots[chat.slot]!.generator, chat, action.texts));
    }
    case 'forget chat':
      return others(outcomeOf(() => chats.splice(action.chat, 1)[0]!.cache.dispose()));
    case 'wrap': {
      const [target, method] = WRAPPED[action.method]!;
      const object = { device, queue: device!.queue, session: slot.session, model: slot.generator.model }[
        target
      ]!;
      const wrapper = new OtherWrapper(object, method);
      wrappers.push(wrapper);
      everWrapped.push(wrapper);
      return others();
    }
    case 'unwrap':
      wrappers.splice(action.which, 1)[0]!.remove(action.blindly);
      return others();
  }
}

async function unload(index: number): Promise<void> {
  const slot = slots[index]!;
  slots[index] = undefined;
  for (const chat of chats.filter((chat) => chat.slot === index)) {
    chats.splice(chats.indexOf(chat), 1);
    await chat.cache.dispose();
  }
  await slot.generator.dispose();
  slot.sift = undefined;
}

/** A method that was put back by another library, which had found it there; and those of its own that it left. */
const putBack = (object: object, method: string): boolean => {
  const now = (object as Record<string, unknown>)[method];
  return everWrapped.some(
    (other) => other.object === object && (other.over === now || other.wrapper === now),
  );
};

/**
 * Ends a sequence: everything is disposed of, pipelines last, and what was left behind is told.
 * @param lost the app lost caches by an error of its own
 */
async function finish(lost: boolean): Promise<string[]> {
  const left: string[] = [];
  const ended = await outcomeOf(async () => {
    for (const slot of [...slots, ...fresh.values()]) slot?.sift?.dispose();
    // What they did again has to be enabled anew for the next sequence.
    for (const slot of fresh.values()) Object.assign(slot, { sift: undefined, policy: null });
    for (const chat of chats.splice(0)) await chat.cache.dispose();
  });
  if (ended !== 'ok') left.push(ended);
  for (const wrapper of wrappers.splice(0).reverse()) wrapper.remove(false);
  const objects: [string, object, Map<PropertyKey, unknown>][] = slots.flatMap((slot, i) =>
    slot
      ? [
          [`session ${i}`, slot.session, slot.before.session],
          [`model ${i}`, slot.generator.model, slot.before.model],
        ]
      : [],
  );
  if (device)
    objects.push(
      ['device', device, deviceBefore[0]],
      ['queue', device.queue, deviceBefore[1]],
      ['encoder', device.createCommandEncoder(), new Map()],
    );
  for (const [name, object, before] of objects)
    for (const change of witness.changes(name, object, before)) {
      const method = change.slice(name.length + 1);
      if (!putBack(object, method)) left.push(`replaced: ${change}`);
      if (before.has(method)) (object as Record<string, unknown>)[method] = before.get(method);
      else delete (object as Record<string, unknown>)[method];
    }
  left.push(...witness.changedPrototypes().map((change) => `replaced: ${change}`));
  everWrapped.splice(0);
  if (!lost) left.push(...(await witness.livingBuffers()).map((buffer) => `buffer: ${buffer}`));
  witness.forgetBuffers();
  for (const i of slots.keys()) if (slots[i]) await unload(i);
  left.push(...witness.takeErrors());
  return left;
}

/** Does a conversation from its beginning, with nothing between its parts; what came of its last part. */
async function replay({ model, parts }: Script, kind: 'stock' | 'sift'): Promise<Outcome> {
  const key = `${model} ${kind}`;
  const slot = fresh.get(key) ?? { ...(await load(model)), policy: null };
  fresh.set(key, slot);
  const chat: Chat = { cache: new DynamicCache(), tokens: [] };
  const alone = parts.length === 1 && 'call' in parts[0]! && parts[0]!.call.prompts.length > 1;
  let last: Outcome | undefined;
  for (const part of parts) last = (await replayPart(slot, part, alone ? undefined : chat)) ?? last;
  await chat.cache.dispose();
  return last!;
}

async function replayPart(
  slot: Slot & { policy: PolicyName | null },
  part: Part,
  chat: Chat | undefined,
): Promise<Outcome | undefined> {
  if ('crop' in part) return void (await crop(chat!, part.crop));
  if (part.policy !== slot.policy) {
    slot.sift?.dispose();
    slot.sift = part.policy ? await enabled(slot, part.policy) : undefined;
    slot.policy = part.policy;
  }
  if (part.on) slot.sift?.enable();
  else slot.sift?.disable();
  if ('texts' in part) return continueTwice(slot.generator, chat!, part.texts);
  const { interjection } = part.call;
  const call =
    interjection?.does === 'dispose'
      ? { ...part.call, interjection: { ...interjection, does: 'disable' as const } }
      : part.call;
  return generateIn(slot, call, chat);
}

const api = {
  act,
  finish,
  replay,
};
export type LifePage = typeof api;
declare global {
  interface Window {
    life: LifePage;
  }
}
window.life = api;
