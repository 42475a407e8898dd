import { beforeAll, describe, expect, test } from 'vitest';
import { learnedPolicy } from '../../policy/index.ts';
import { Conversations } from './conversations.ts';

const SHAPE = { queryHeads: 8, kvHeads: 2, headSize: 64, dtype: 'f32' } as const;
const LAYERS = new Map([
  [0, SHAPE],
  [1, SHAPE],
]);

/** A device that counts the buffers that are alive. */
class CountingDevice {
  alive = 0;
  readonly queue = { submit: () => {} };
  pushErrorScope(): void {}
  async popErrorScope(): Promise<null> {
    return null;
  }
  createBuffer(): object {
    this.alive++;
    return { destroy: () => this.alive-- };
  }
  createCommandEncoder(): object {
    return { clearBuffer: () => {}, finish: () => ({}) };
  }
}

const tensor = () => ({}) as GPUBuffer;

describe('Conversations', () => {
  beforeAll(() => {
    Object.assign(globalThis, { GPUBufferUsage: { STORAGE: 128, COPY_SRC: 4, COPY_DST: 8 } });
  });
  const setUp = () => {
    const device = new CountingDevice();
    return { device, registry: new Conversations(device as unknown as GPUDevice, learnedPolicy(), LAYERS) };
  };

  /** Runs a conversation: a prompt and some steps, each with new tensors; disposes of the last ones. */
  async function converse(registry: Conversations, steps: number, disposeLast = true): Promise<void> {
    let buffer = tensor();
    let state = registry.create(1);
    registry.follow(state, buffer, 100);
    for (let step = 1; step <= steps; step++) {
      const found = registry.find(buffer, 99 + step, 1);
      expect(found).toBe(state);
      state = found!;
      state.begin(100 + step);
      if (!state.ready) await state.reserve();
      const next = tensor();
      registry.follow(state, next, 100 + step);
      registry.release(buffer, 99 + step); // the runtime disposes of the past it replaced
      buffer = next;
    }
    if (disposeLast) registry.release(buffer, 100 + steps);
  }

  test('a state follows its cache from step to step, and buffers are reused by the next conversation', async () => {
    const { device, registry } = setUp();
    await converse(registry, 5);
    const after = device.alive;
    expect(after).toBe(2 * 3);
    for (let i = 0; i < 50; i++) await converse(registry, 5);
    expect(device.alive).toBe(after);
    expect(registry.count).toBe(51);
    registry.destroy();
    expect(device.alive).toBe(0);
  });

  test('conversations that are kept have a bound', async () => {
    const { device, registry } = setUp();
    for (let i = 0; i < 30; i++) await converse(registry, 2, false);
    expect(device.alive).toBe(8 * 2 * 3);
  });

  test('a past of another length, batch or buffer is not followed', () => {
    const { registry } = setUp();
    const buffer = tensor();
    registry.follow(registry.create(1), buffer, 100);
    expect(registry.find(buffer, 100, 1)).toBeDefined();
    expect(registry.find(buffer, 99, 1)).toBeUndefined();
    expect(registry.find(buffer, 100, 2)).toBeUndefined();
    expect(registry.find(tensor(), 100, 1)).toBeUndefined();
    expect(registry.find(undefined, 100, 1)).toBeUndefined();
  });

  test('a conversation that goes on is not taken for another', () => {
    const { registry } = setUp();
    const buffer = tensor();
    const state = registry.create(1);
    registry.follow(state, buffer, 100);
    expect(registry.create(1)).not.toBe(state);
    registry.release(buffer, 100);
    expect(registry.create(1)).toBe(state);
  });

  test('a restart forgets steps, rows and reasons', () => {
    const { registry } = setUp();
    const state = registry.create(1);
    Object.assign(state, { step: 7, siftedSteps: 3, denseSteps: 4, denseBytes: 9 });
    state.count('warm-up');
    state.restart();
    expect(state).toMatchObject({ step: 0, siftedSteps: 0, denseSteps: 0, denseBytes: 0 });
    expect(state.reasons.size).toBe(0);
  });
});
