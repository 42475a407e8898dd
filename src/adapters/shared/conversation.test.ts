// Learning has no holes: what was not recorded in every layer is made up for, and never enters a fit.
import { beforeAll, describe, expect, test } from 'vitest';
import { learnedPolicy, presetPolicy, type ThresholdPolicy, validatePolicy } from '../../policy/index.ts';
import { defineWebGpuGlobals, FakeDevice } from '../../testing/fake-device.ts';
import { Conversation, type StepAccount } from './conversation.ts';

const SHAPE = { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f32' } as const;
const LAYERS = new Map([
  [0, SHAPE],
  [3, SHAPE],
]);
const PROMPT = 100;

beforeAll(defineWebGpuGlobals);

function setUp(policy: ThresholdPolicy) {
  const device = new FakeDevice();
  const conversation = new Conversation(device.gpu, policy, 1, LAYERS);
  /** A decode step in which the given layers go through our kernels. */
  const step = (attended: readonly number[] = [0, 3], dense?: boolean): StepAccount => {
    const account = conversation.begin(PROMPT + conversation.step + 1);
    for (const layer of attended) account.attend(layer, dense ?? account.plan.dense, 200);
    conversation.finish(account, ({ shortFrom }) => `shorter than ${shortFrom}`);
    return account;
  };
  return { device, conversation, step };
}

describe('learning', () => {
  test('a step that misses a layer, or all of them, is learned anew in its place', () => {
    const { step } = setUp(validatePolicy({ ...learnedPolicy({ warmup: 3 }), refitEvery: 0 }));
    const plans = [[0, 3], [3], [], [0, 3], [0, 3], [0, 3]].map((layers) => step(layers).plan);
    expect(plans.map(({ windowIndex }) => windowIndex)).toEqual([0, 1, 1, 1, 2, -1]);
    expect(plans.map(({ dense }) => dense)).toEqual([true, true, true, true, true, false]);
    expect(plans.map(({ fit }) => fit)).toEqual([false, false, false, false, true, false]);
    // The power law's abscissa is the step as it was.
    expect(plans.map((plan) => plan.step)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('the moments of V are measured at the next step, if a layer missed them', () => {
    const { step } = setUp(presetPolicy('balanced'));
    const measured = [[3], [0, 3], [0, 3]].map((layers) => step(layers).plan.measure);
    expect(measured).toEqual([true, true, false]);
  });

  test('a new prompt begins anew', () => {
    const { step, conversation } = setUp(learnedPolicy({ warmup: 2 }));
    step();
    step([]);
    conversation.restart();
    expect(step().plan).toMatchObject({ step: 1, windowIndex: 0 });
  });
});

describe('the account of steps', () => {
  test('sifted, dense, short and the runtime’s own steps are told apart', () => {
    const { step, conversation } = setUp(presetPolicy('balanced'));
    step();
    step([0, 3], true);
    step([]);
    // One layer is short, the other sifts: a sifted step.
    const mixed = conversation.begin(PROMPT + 4);
    mixed.attend(0, true, 200, 10);
    mixed.attend(3, false, 0);
    conversation.finish(mixed, () => 'short');
    expect(conversation).toMatchObject({ siftedSteps: 2, denseSteps: 1, stockSteps: 1, shortSteps: 1 });
    expect([...conversation.reasons]).toEqual([['shorter than 200', 1]]);
    expect([...conversation.shortByLayer]).toEqual([
      [0, 2],
      [3, 1],
    ]);
    expect([...conversation.stockByLayer]).toEqual([
      [0, 1],
      [3, 1],
    ]);
    // Rows of two KV heads of 64 in f32: of both layers in the short step, of one in the mixed, of which ten in a window.
    expect(conversation.denseBytes).toBe(2 * 64 * 4 * (2 * (PROMPT + 2) + 10));
  });

  test('a step that the runtime does again counts for nothing', () => {
    const { conversation } = setUp(presetPolicy('exact'));
    const account = conversation.begin(PROMPT + 1);
    account.attend(0, true, 0);
    account.giveUp('refused');
    conversation.finish(account, () => '');
    expect(conversation).toMatchObject({ denseSteps: 0, stockSteps: 1, denseBytes: 0 });
    expect([...conversation.reasons.keys()]).toEqual(['refused']);
  });
});

describe('memory', () => {
  test('is reserved for all layers at once; if it is not there, nothing stays behind', async () => {
    const { device, conversation } = setUp(presetPolicy('balanced'));
    expect(conversation.ready).toBe(false);
    device.memory = 100;
    await expect(conversation.reserve()).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    expect(device.alive).toBe(0);
    expect(conversation.ready).toBe(false);
    device.memory = Number.POSITIVE_INFINITY;
    await conversation.reserve();
    expect(conversation.ready).toBe(true);
    expect(device.alive).toBe(6);
    conversation.destroy();
    expect(device.alive).toBe(0);
  });
});

describe('the memory of the shadow', () => {
  test('where there is none, the conversation goes on without, until a new prompt', async () => {
    const { device, conversation } = setUp(presetPolicy('balanced', 'shadow'));
    await conversation.reserve();
    await conversation.reserveShadow(1000);
    expect(conversation.policy.keys).toBe('shadow');
    // 32 groups of 32 rows, for two layers of two KV heads.
    expect(conversation.shadowBytes).toBe(2 * 2 * 32 * 32 * 17);
    const before = device.alive;
    device.memory = device.bytes;
    await conversation.reserveShadow(2000);
    expect(conversation.policy).toEqual({ ...presetPolicy('balanced', 'shadow'), keys: 'exact' });
    expect(conversation.shadowBytes).toBe(0);
    expect(device.alive).toBe(before - 2);
    expect([...conversation.reasons.keys()].join()).toMatch(
      /all of K is read: The shadow of K needs GPU memory/,
    );
    device.memory = Number.POSITIVE_INFINITY;
    conversation.restart();
    expect(conversation.policy.keys).toBe('shadow');
    await conversation.reserveShadow(2000);
    expect(conversation.shadowBytes).toBeGreaterThan(0);
  });

  test('what was encoded for a step that was given up does not count', async () => {
    const { conversation } = setUp(presetPolicy('balanced', 'shadow'));
    await conversation.reserve();
    await conversation.reserveShadow(1000);
    const { shadow } = conversation.layers.get(0)!;
    expect(shadow.encode(1000)).toBeDefined();
    const account = conversation.begin(1000);
    account.attend(0, false, 0);
    account.giveUp('refused');
    conversation.finish(account, () => 'short');
    expect(shadow.encode(1000)).toEqual({ rows: 1000, statistics: true });
  });
});
