// The bookkeeping of shared caches, on a device and a runtime that only count. What the runtime computes on them is tested end to end.
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { OrtTensor } from '../runtime.ts';
import { SharedCache, type SharedRun, sharedCacheObstacle } from './shared-cache.ts';
import { viewOf } from './views.ts';

const LAYERS = [0, 1];
const NAMES = LAYERS.flatMap((i) => [`past_key_values.${i}.key`, `past_key_values.${i}.value`]);
const SESSION = {
  inputNames: ['input_ids', 'attention_mask', ...NAMES],
  outputNames: ['logits', ...NAMES.map((name) => name.replace('past_key_values', 'present'))],
};

class FakeTensor {
  location = 'gpu-buffer';
  constructor(
    readonly gpuBuffer: unknown,
    readonly dims: readonly number[],
    readonly type = 'float32',
    private readonly disposer?: () => void,
  ) {}
  static fromGpuBuffer(buffer: unknown, { dims, dataType, dispose }: never): FakeTensor {
    return new FakeTensor(buffer, dims, dataType, dispose);
  }
  dispose(): void {
    this.disposer?.();
    this.location = 'none';
  }
}

/** Counts the buffers that are alive and the copies between them; runs out of memory on demand. */
class FakeDevice {
  alive = new Set<{ size: number }>();
  copies = 0;
  full = false;
  /** Bytes of the largest buffer that there is memory for. */
  most = Number.POSITIVE_INFINITY;
  limits = { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 };
  queue = { submit: () => {} };
  createBuffer({ size }: { size: number }): object {
    const buffer = { size, destroy: () => this.alive.delete(buffer) };
    this.alive.add(buffer);
    return buffer;
  }
  createCommandEncoder(): object {
    return { copyBufferToBuffer: () => this.copies++, finish: () => ({}) };
  }
  pushErrorScope(): void {}
  popErrorScope(): Promise<object | null> {
    const refused = this.full || [...this.alive].some(({ size }) => size > this.most);
    return Promise.resolve(refused ? { message: 'no memory' } : null);
  }
}

describe('SharedCache', () => {
  let device: FakeDevice;
  let shared: SharedCache;
  beforeAll(() => {
    Object.assign(globalThis, { GPUBufferUsage: { STORAGE: 128, COPY_SRC: 4, COPY_DST: 8 } });
  });
  beforeEach(() => {
    device = new FakeDevice();
    shared = new SharedCache(device as never, SESSION, FakeTensor as never);
  });

  type Past = (length: number) => FakeTensor[];
  const empty: Past = () => NAMES.map(() => new FakeTensor(undefined, [1, 2, 0, 64]));
  const feedsOf = (past: FakeTensor[], newTokens: number, total?: number): Record<string, OrtTensor> => {
    const length = past[0]!.dims[2]!;
    return Object.fromEntries([
      ['input_ids', new FakeTensor(undefined, [1, newTokens])],
      ['attention_mask', new FakeTensor(undefined, [1, total ?? length + newTokens])],
      ...NAMES.map((name, i) => [name, past[i]!]),
    ]) as never;
  };
  const finish = (run: SharedRun): FakeTensor[] => {
    const outputs = run.finish({ logits: new FakeTensor(undefined, [1]) as never });
    return run.cache.shapes.map(({ present }) => outputs[present] as never);
  };
  const step = async (past: FakeTensor[], newTokens: number, keep = false): Promise<FakeTensor[]> => {
    const run = await shared.begin(feedsOf(past, newTokens), []);
    expect(run).toBeDefined();
    const outputs = finish(run!);
    if (!keep) for (const tensor of past) tensor.dispose();
    return outputs;
  };
  const reasons = () => shared.report().reasons.map(({ reason }) => reason);

  test('past and present are the same tensors with the capacity as their length; callers see the length', async () => {
    shared.bound = 150;
    const run = (await shared.begin(feedsOf(empty(0), 100), []))!;
    for (const name of NAMES) {
      expect(run.feeds[name]!.dims).toEqual([1, 2, 192, 64]);
      expect(run.fetches[name.replace('past_key_values', 'present')]).toBe(run.feeds[name]);
    }
    expect(run.fetches.logits).toBeNull();
    const outputs = finish(run);
    for (const tensor of outputs) expect(tensor.dims).toEqual([1, 2, 100, 64]);
  });

  test('a conversation allocates once, copies nothing, and leaves nothing behind', async () => {
    for (let conversation = 0; conversation < 50; conversation++) {
      shared.bound = 150;
      let past = await step(empty(0), 100);
      expect(device.alive.size).toBe(NAMES.length);
      for (let i = 0; i < 50; i++) past = await step(past, 1);
      expect(device.alive.size).toBe(NAMES.length);
      for (const tensor of past) tensor.dispose();
      expect(device.alive.size).toBe(0);
    }
    expect(device.copies).toBe(0);
    expect(shared.report()).toMatchObject({
      steps: 50 * 51,
      grown: 0,
      copied: 0,
      // What it took; nothing of it is left.
      capacity: 192,
      freed: true,
      reasons: [],
    });
  });

  test('a cache that is full moves to one of twice the size, its rows are copied once', async () => {
    let past = await step(empty(0), 250);
    expect(shared.report()).toMatchObject({ capacity: 256, freed: false });
    for (let i = 0; i < 10; i++) past = await step(past, 1);
    expect(shared.report()).toMatchObject({ capacity: 512, grown: 1 });
    expect(device.copies).toBe(2 * NAMES.length); // a copy for each head
    expect(device.alive.size).toBe(NAMES.length);
  });

  test('two continuations of one past do not write over each other', async () => {
    const prompt = await step(empty(0), 100);
    const first = await step(prompt, 1, true);
    const second = await step(prompt, 1, true);
    expect(viewOf(first[0] as never)!.cache).not.toBe(viewOf(second[0] as never)!.cache);
    expect(shared.report().copied).toBe(1);
    for (const tensor of [...prompt, ...first, ...second]) tensor.dispose();
    expect(device.alive.size).toBe(0);
  });

  test('a past whose continuation was dropped is continued in place', async () => {
    const prompt = await step(empty(0), 100);
    for (const tensor of await step(prompt, 1, true)) tensor.dispose();
    const again = await step(prompt, 1, true);
    expect(viewOf(again[0] as never)!.cache).toBe(viewOf(prompt[0] as never)!.cache);
    expect(device.copies).toBe(0);
  });

  test("the runtime's own past is taken over with one copy", async () => {
    const stock = NAMES.map((_, i) => new FakeTensor({ name: i }, [1, 2, 80, 64]));
    const past = await step(stock, 1);
    expect(past[0]!.dims).toEqual([1, 2, 81, 64]);
    expect(shared.report()).toMatchObject({ copied: 1, steps: 1 });
  });

  test('whoever asks for the buffer of a view gets the rows without gaps, in a buffer that goes with the view', async () => {
    const past = await step(empty(0), 100);
    const buffer = past[0]!.gpuBuffer as GPUBuffer;
    expect(buffer.size).toBe(2 * 100 * 64 * 4);
    expect(past[0]!.gpuBuffer).toBe(buffer);
    for (const tensor of past) tensor.dispose();
    expect(device.alive.size).toBe(0);
    expect(() => past[0]!.gpuBuffer).toThrow('disposed');
  });

  test('a run that fails leaves the past as it was', async () => {
    const failed = (await shared.begin(feedsOf(empty(0), 100), []))!;
    failed.abort();
    expect(device.alive.size).toBe(0);
    const past = await step(empty(0), 100);
    (await shared.begin(feedsOf(past, 1), []))!.abort();
    expect(device.alive.size).toBe(NAMES.length);
    await step(past, 1);
  });

  test('without memory the runtime serves the run, before the first token and later', async () => {
    device.full = true;
    expect(await shared.begin(feedsOf(empty(0), 100), [])).toBeUndefined();
    expect(device.alive.size).toBe(0);
    device.full = false;
    shared.bound = 256;
    const past = await step(empty(0), 256);
    device.full = true;
    expect(await shared.begin(feedsOf(past, 1), [])).toBeUndefined();
    expect(device.alive.size).toBe(NAMES.length);
    expect(reasons()[0]).toMatch(/KV cache of \d+ tokens needs .* MB/);
    expect((past[0]!.gpuBuffer as GPUBuffer).size).toBe(2 * 256 * 64 * 4); // what the runtime is fed instead
  });

  test('without memory for a cache twice as large it grows by what it has to', async () => {
    shared.bound = 640;
    let past = await step(empty(0), 640);
    device.most = 2 * 64 * 4 * 704;
    past = await step(past, 1);
    expect(shared.report()).toMatchObject({ capacity: 704, grown: 1, reasons: [] });
    expect(device.alive.size).toBe(NAMES.length);
    for (const tensor of past) tensor.dispose();
    // The same for a first one.
    shared.bound = undefined;
    past = await step(empty(0), 600);
    expect(shared.report().capacity).toBe(640);
  });

  test('what it does not know is left to the runtime, with the reason', async () => {
    const refused = async (feeds: Record<string, OrtTensor>, rest: unknown[] = []) => {
      expect(await shared.begin(feeds, rest)).toBeUndefined();
      return reasons().at(-1);
    };
    expect(await refused(feedsOf(empty(0), 5), [{ logits: null }])).toContain('outputs or run options');
    const long = NAMES.map(() => new FakeTensor({}, [1, 2, 512, 64]));
    expect(await refused(feedsOf(long, 1, 101))).toContain('a capacity of its own');
    const cpu = NAMES.map(() => Object.assign(new FakeTensor({}, [1, 2, 9, 64]), { location: 'cpu' }));
    expect(await refused(feedsOf(cpu, 1))).toContain('not on the GPU');
    const int8 = NAMES.map(() => new FakeTensor({}, [1, 2, 9, 64], 'int8'));
    expect(await refused(feedsOf(int8, 1))).toContain('int8');
    device.limits.maxBufferSize = 2 * 64 * 4 * 50;
    expect(await refused(feedsOf(empty(0), 51))).toContain('at most 50');
    expect(device.alive.size).toBe(0);
  });
});

describe('sharedCacheObstacle', () => {
  test('knows the inputs of decoders', () => {
    expect(sharedCacheObstacle(SESSION)).toBeUndefined();
    const obstacle = (...inputNames: string[]) => sharedCacheObstacle({ inputNames });
    expect(obstacle('input_ids')).toContain('no KV cache');
    expect(obstacle(...NAMES, 'use_cache_branch')).toContain('branches');
    expect(obstacle('past_key_values.0.decoder.key', 'past_key_values.0.encoder.key')).toContain(
      'decoder.key',
    );
  });
});
