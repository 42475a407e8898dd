// The library's own loop over a session that counts: a real model of transformers.js, in Node.
import { Tensor } from '@huggingface/transformers';
import { expect, test } from 'vitest';
import { libraryModel } from '../../testing/transformers/library-model.ts';
import { LifeCycle } from '../shared/life-cycle.ts';
import type { Client } from './client.ts';
import { decodeGreedily, type GreedyTask } from './greedy.ts';
import type { OrtSession, OrtTensor } from './runtime.ts';
import { SessionHook, type Tensors } from './session-hook.ts';
import type { TransformersSift } from './transformers-sift.ts';

const VOCABULARY = 16;

/** A model that counts on from its last token, with a sift that has its runs. */
function counting(options: { failAt?: number } = {}) {
  const { model, fed } = libraryModel({ positions: true });
  const session = model.sessions.model as OrtSession;
  const original = session.run.bind(session);
  let runs = 0;
  session.run = async (feeds) => {
    if (++runs === options.failAt) throw new Error('out of memory in node MatMul');
    const outputs = await original(feeds);
    const ids = feeds.input_ids!.data as BigInt64Array;
    const data = new Float32Array(ids.length * VOCABULARY);
    data[data.length - VOCABULARY + ((Number(ids.at(-1)) + 1) % VOCABULARY)] = 1;
    const logits = new Tensor('float32', data, [1, ids.length, VOCABULARY]) as unknown as OrtTensor;
    // A tensor of the runtime's gives its data later.
    return {
      ...outputs,
      logits: Object.assign(logits, {
        ort_tensor: { ...logits, dims: [1, ids.length, VOCABULARY], getData: async () => data },
      }),
    };
  };
  const life = LifeCycle.begin(session, 'pipeline');
  const sessionHook = new SessionHook(session, life);
  life.start();
  const routed: Tensors[] = [];
  const masks: boolean[] = [];
  const sift = {
    target: { model, sessionHook, life },
    withMasks: <T>(kept: boolean, call: () => T) => {
      masks.push(kept);
      return call();
    },
    run: (_: Client, feeds: Tensors) => {
      routed.push(feeds);
      return sessionHook.trial(feeds);
    },
  } as unknown as TransformersSift;
  return { sift, fed, routed, masks, model, life };
}

const task = (changes: Partial<GreedyTask> = {}): GreedyTask => ({
  ...{ prompt: [3, 4], fed: [], count: 4, ends: [], signal: undefined },
  ...changes,
});

test('the most likely tokens, with the inputs that generate would feed, and the logits of each', async () => {
  const { sift, fed, routed, masks } = counting();
  const seen: number[] = [];
  const { tokens, milliseconds } = await decodeGreedily(
    sift,
    undefined,
    task({ visit: (index, logits) => seen.push(index, logits.indexOf(1)) }),
  );
  expect(tokens).toEqual([5, 6, 7, 8]);
  expect(seen).toEqual([0, 5, 1, 6, 2, 7, 3, 8]);
  expect(milliseconds).toHaveLength(4);
  expect(fed.map(({ mask }) => mask.length)).toEqual([2, 3, 4, 5]);
  expect(fed.map(({ positions }) => positions!.map(Number))).toEqual([[0, 1], [2], [3], [4]]);
  // The runtime alone.
  expect([routed.length, masks]).toEqual([0, [false, false, false]]);
});

test('runs of a client are routed, tokens that are given are fed, and what would have come is told', async () => {
  const { sift, fed, routed, masks } = counting();
  const { tokens } = await decodeGreedily(sift, {} as Client, task({ fed: [9, 9], ends: [10, 11] }));
  // 10 would end the text, if another token were not fed in its place.
  expect(tokens).toEqual([5, 10, 10]);
  expect([routed.length, fed.length, masks]).toEqual([3, 3, [true, true]]);
});

test('a run that fails is told, and the library never hears of it', async () => {
  const { sift, model, life } = counting({ failAt: 3 });
  await expect(decodeGreedily(sift, undefined, task())).rejects.toThrow('out of memory in node MatMul');
  expect(life.state).toBe('on');
  expect((await decodeGreedily(sift, undefined, task({ count: 2 }))).tokens).toEqual([5, 6]);
  expect(model).toBeDefined();
});

test('a signal ends it between two tokens, and so does the end of the sift', async () => {
  const { sift, fed, life } = counting();
  const leaving = new AbortController();
  const visit = (index: number) => index === 1 && leaving.abort('enough');
  await expect(decodeGreedily(sift, undefined, task({ signal: leaving.signal, visit }))).rejects.toBe(
    'enough',
  );
  expect(fed).toHaveLength(2);
  const end = () => life.dispose();
  await expect(decodeGreedily(sift, undefined, task({ visit: end }))).rejects.toMatchObject({
    code: 'DISPOSED',
  });
});
