// enableSift on web-llm, of both versions that are installed: real engine, pipeline and WebGPU context, over a library without a model
// (src/testing/web-llm says what is real).
import { beforeAll, describe, expect, test } from 'vitest';
import source0286 from '../../../node_modules/@mlc-ai/web-llm/lib/index.js?raw';
import source0279 from '../../../node_modules/web-llm-0279/lib/index.js?raw';
import { enableSift, type Sift, SiftError, type SiftReport } from '../../index.ts';
import { download } from '../../kernel/gpu/transfer.ts';
import { outputError } from '../../kernel/proof/test-cases.ts';
import { expectedOutput, TestEngine } from '../../testing/web-llm/engine.ts';
import type { LibraryOptions } from '../../testing/web-llm/library.ts';
import { loadWebLlm, type WebLlmInternals } from '../../testing/web-llm/runtime.ts';

const SHAPE = { queryHeads: 8, kvHeads: 2, headSize: 32, dtype: 'f32' } as const;
const LAYERS = 3;
const LIBRARY: LibraryOptions = { shape: SHAPE, layers: LAYERS, pageSize: 16, maxPages: 40, seed: 5 };
const MODEL = 'test-model';
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

/** The largest error of the last step's outputs over the layers. */
async function lastError(rig: TestEngine): Promise<number> {
  const { library, context } = rig.loaded;
  let worst = 0;
  for (const [layer, { output }] of library.last.entries()) {
    const buffer = context.bufferTable[output]!;
    const got = await download(context.device, buffer, SHAPE.queryHeads * SHAPE.headSize, 'f32');
    worst = Math.max(worst, outputError(got, expectedOutput(library, layer), SHAPE));
  }
  return worst;
}

const forwardOne = (rig: TestEngine, ids: number[], prefill: boolean) =>
  (rig.loaded.pipeline.forwardTokensAndSample as (ids: number[], prefill: boolean) => Promise<number>)(
    ids,
    prefill,
  );
const reasonsOf = async (sift: Sift) => (await sift.report()).reasons.map(({ reason }) => reason).join('\n');

// Every load compiles the kernels for another device, which takes the software adapter seconds: an engine serves several tests.
describe.each([
  { version: '0.2.79', source: source0279 },
  { version: '0.2.86', source: source0286 },
])('web-llm $version', ({ source }) => {
  let web: WebLlmInternals;
  let rig: TestEngine;
  beforeAll(async () => {
    web = await loadWebLlm(source);
    rig = new TestEngine(web, LIBRARY);
  });

  test('a model that has decoded is too late, until it is loaded again', async () => {
    await rig.engine.reload(MODEL);
    await rig.chat([user('before')], 4);
    const sift = await enableSift(rig.engine, { tau: 0.75, warmup: 2, siftFrom: 0 });
    await rig.chat([user('hello')], 6);
    expect((await sift.report()).steps.sifted).toBe(0);
    expect(await reasonsOf(sift)).toMatch(/LATE_ENABLE.*engine\.reload/);
    expect(await lastError(rig)).toBeLessThan(1e-5);
    const { device } = rig.loaded.context;
    await rig.engine.reload(MODEL);
    expect(rig.loaded.context.device).not.toBe(device);
    await rig.chat([user('hello')], 6);
    // The first step is compared and teaches nothing, two learn.
    const report = await sift.report();
    expect([report.steps, report.stockSteps]).toEqual([{ sifted: 2, dense: 2 }, 1]);
    // The trampoline stays, and serves whoever enables sift next.
    sift.dispose();
    await rig.chat([user('disposed')], 4);
    expect(await lastError(rig)).toBeLessThan(1e-5);
  });

  test('enable, decode, multi-turn, reset, disable, enable', async () => {
    const sift = await enableSift(rig.engine, { tau: 0.75, warmup: 6, siftFrom: 0 });
    // 40 tokens of prompt in two chunks, 16 decode steps: one that is compared, six of warm-up, nine sifted.
    const first = [user('x'.repeat(36))];
    const reply = await rig.chat(first, 17);
    expect(reply).toHaveLength(17);
    let report = await sift.report();
    expect([report.steps, report.stockSteps]).toEqual([{ sifted: 9, dense: 6 }, 1]);
    expect(report.conversations).toBe(1);
    expect(report.length).toBe(rig.loaded.library.keys[0]!.length);
    expect(report.layers.map(({ layer }) => layer)).toEqual([0, 1, 2]);
    expect(report.keptHead).toBeGreaterThan(0.05);
    expect(report.keptHead).toBeLessThan(0.6);
    expect(Object.fromEntries(report.reasons.map(({ reason, count }) => [reason, count]))).toEqual({
      "first step: the runtime's attention was used, and ours held against it": 1,
      'warm-up': 6,
    });
    // Sifted: not the dense result.
    expect(await lastError(rig)).toBeGreaterThan(1e-4);
    const lengthBefore = report.length;

    // A second turn learns anew; whether the cache is kept is the runtime's choice.
    await rig.chat([...first, assistant(reply), user('and then')], 9);
    report = await sift.report();
    expect(report.conversations).toBe(2);
    expect(report.steps).toEqual({ sifted: 2, dense: 6 });
    expect(report.length).toBeGreaterThan(lengthBefore);

    // Disabled: exactly the runtime's kernel.
    sift.disable();
    await rig.chat([user('stock please')], 5);
    expect((await sift.report()).enabled).toBe(false);
    expect(await lastError(rig)).toBeLessThan(1e-5);
    sift.enable();
    await rig.chat([user('sift again')], 9);
    expect((await sift.report()).steps).toEqual({ sifted: 2, dense: 6 });

    await rig.engine.resetChat();
    expect((await sift.report()).steps).toEqual({ sifted: 0, dense: 0 });
    sift.dispose();
    expect(() => sift.enable()).toThrow(SiftError);
  });

  test('steps below siftFrom read every row, and the report says so', async () => {
    const sift = await enableSift(rig.engine, { tau: 0.75, warmup: 2, siftFrom: 24 });
    // One decode step, which is compared, ends with 17 keys; those of 18 and 19 keys are the warm-up.
    await rig.chat([user('0123456789')], 2);
    expect((await sift.report()).length).toBe(17);
    for (let i = 0; i < 12; i++) await forwardOne(rig, [3], false);
    const report = await sift.report();
    expect(report.length).toBe(29);
    expect(report.steps).toEqual({ sifted: 6, dense: 6 });
    expect(report.shortSteps).toBe(4);
    for (const layer of report.layers) expect(layer.shortSteps).toBe(4);
    expect(report.reasons).toContainEqual({ reason: 'shorter than siftFrom (24 keys)', count: 4 });
    expect(report.crossover).toMatchObject([{ siftFrom: 24, source: 'given', samples: [], milliseconds: 0 }]);
    sift.dispose();
  });

  test('tau 0 is dense attention, through our kernels in every step after the first', async () => {
    const sift = await enableSift(rig.engine, { tau: 0 });
    const errors: number[] = [];
    await rig.chat([user('0123456789')], 2);
    for (let i = 0; i < 20; i++) {
      await forwardOne(rig, [3], false);
      errors.push(await lastError(rig));
    }
    const { steps, stockSteps, bytes, reasons } = await sift.report();
    expect([steps, stockSteps]).toEqual([{ sifted: 0, dense: 20 }, 1]);
    expect(bytes.keysRead).toBeGreaterThan(0);
    expect(reasons.find(({ reason }) => reason.includes('keeps every row'))?.count).toBe(20);
    console.log(`worst relative error ${Math.max(...errors).toExponential(2)}`);
    expect(Math.max(...errors)).toBeLessThan(1e-5);
    sift.dispose();
  });

  test('compare decodes a prompt twice, and leaves sift and the next chat as they were', async () => {
    const leaving = new AbortController();
    leaving.abort();
    await expect(enableSift(rig.engine, { signal: leaving.signal })).rejects.toBe(leaving.signal.reason);
    // In the middle of it, too, where nothing of ours is left behind.
    const { pipeline } = rig.loaded;
    const own = () =>
      [pipeline, rig.engine.loadedModelIdToPipeline].map((it) => Object.getOwnPropertyNames(it));
    const before = own();
    const later = new AbortController();
    let during = before;
    const onProgress = () =>
      queueMicrotask(() => {
        during = own();
        later.abort();
      });
    const refused = enableSift(rig.engine, { signal: later.signal, onUnsupported: 'ignore', onProgress });
    const error = await refused.catch((error: unknown) => error);
    expect([error, later.signal.aborted]).toEqual([later.signal.reason, true]);
    expect(during).not.toEqual(before);
    expect(own()).toEqual(before);
    const sift = await enableSift(rig.engine, { tau: 0.75, warmup: 2, siftFrom: 0 });
    await rig.chat([user('hello')], 6);
    sift.disable();
    const { stock, sift: sifted, ...found } = await sift.compare('x'.repeat(20), { maxNewTokens: 7 });
    // The stub of the sampler goes by the length alone: both sides have the same tokens.
    expect(stock.tokens).toHaveLength(7);
    expect(sifted.tokens).toEqual(stock.tokens);
    expect([stock.text, sifted.text]).toEqual([expect.stringMatching(/^[a-z]{7}$/), stock.text]);
    for (const run of [stock, sifted]) {
      expect(run.firstTokenMilliseconds).toBeGreaterThan(0);
      expect(run.millisecondsPerToken).toBeGreaterThan(0);
    }
    // Sift was off, and was routed all the same; the model's first step may be the one that is compared.
    expect(found).toMatchObject({ firstDifference: null, divergence: null });
    expect(found.promptTokens).toBeGreaterThan(20);
    const { steps } = found;
    expect([steps.dense + steps.stock + steps.sifted, steps.sifted >= 3]).toEqual([6, true]);
    expect(sift.enabled).toBe(false);
    await rig.chat([user('hello')], 6);
    expect(await lastError(rig)).toBeLessThan(1e-5);
    sift.enable();
    await rig.chat([user('hello')], 6);
    expect((await sift.report()).steps.sifted).toBe(3);
    const late = sift.compare('x', { signal: leaving.signal });
    await expect(late).rejects.toBe(leaving.signal.reason);
    await expect(sift.compare([1, 2, 3])).rejects.toThrow('allowed: a text or the messages of a chat');
    sift.dispose();
    await expect(sift.compare('x')).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  test('one-token chunks, aborted and rewound conversations', async () => {
    const sift = await enableSift(rig.engine, { tau: 0.75, warmup: 3, siftFrom: 0 });
    const { pipeline, library } = rig.loaded;
    await rig.engine.resetChat();
    // 33 tokens: a chunk of 32 and one of a single token, which launches the decode kernel and is no decode step.
    await forwardOne(rig, new Array<number>(33).fill(1), true);
    expect(library.last).toHaveLength(LAYERS);
    expect((await sift.report()).steps).toEqual({ sifted: 0, dense: 0 });
    for (let i = 0; i < 6; i++) await forwardOne(rig, [2], false);
    expect((await sift.report()).steps).toEqual({ sifted: 2, dense: 3 });
    // Cut from outside, as a restored checkpoint is: the lengths no longer follow each other.
    for (const list of [...library.keys, ...library.values]) list.length = 20;
    pipeline.filledKVCacheLength = 20;
    await forwardOne(rig, [2], false);
    expect((await sift.report()).steps).toEqual({ sifted: 0, dense: 1 });
    expect(await reasonsOf(sift)).toContain('cut');
    expect(await lastError(rig)).toBeLessThan(1e-5);

    // Interrupted in the middle of a reply.
    await rig.engine.resetChat();
    const running = rig.chat([user('long')], 400);
    while (library.keys[0]!.length < 30) await new Promise((resolve) => setTimeout(resolve, 5));
    await rig.engine.interruptGenerate();
    await running;
    // A stream: 0.2.79 answers nothing else after an interrupt.
    expect(await rig.stream([user('next')], 6)).toBeGreaterThan(1);
    expect((await sift.report()).steps).toEqual({ sifted: 2, dense: 3 });
    sift.dispose();
  });

  test('a throw in a launch does not reach the library', async () => {
    const sift = await enableSift(rig.engine, { tau: 0.75, warmup: 2, siftFrom: 0 });
    await rig.chat([user('hello')], 4);
    // In the middle of a pass of ours, in every launch.
    const { prototype } = GPUComputePassEncoder;
    const setBindGroup = prototype.setBindGroup as (...args: unknown[]) => undefined;
    prototype.setBindGroup = function (this: GPUComputePassEncoder, ...args: unknown[]) {
      if (this.label === 'sift') throw new Error('no more bind groups');
      return setBindGroup.apply(this, args);
    } as typeof prototype.setBindGroup;
    expect(await rig.chat([user('still works')], 5)).toHaveLength(5);
    prototype.setBindGroup = setBindGroup as typeof prototype.setBindGroup;
    expect(await reasonsOf(sift)).toContain('no more bind groups');
    expect(await lastError(rig)).toBeLessThan(1e-5);
    sift.dispose();
    await rig.engine.unload();
  });
});

describe('web-llm: what is refused', () => {
  let web: WebLlmInternals;
  beforeAll(async () => {
    web = await loadWebLlm(source0286);
  });
  const edited = (from: string | RegExp, to: string): LibraryOptions => ({
    ...LIBRARY,
    edit: (kernels) => {
      const kernel = kernels.batch_decode_paged_kv_kernel!;
      kernel.code = kernel.code.replaceAll(from, to);
    },
  });

  test('a rotation in the attention, and a kernel that computes something else, found out in the first step', async () => {
    // Same interface, another softmax: what a future library might do.
    for (const [options, reason] of [
      [{ ...LIBRARY, rotaryMode: 1 }, 'inline rotary'],
      [edited('podArgs.sm_scale * 1.44', 'podArgs.sm_scale * 2.44'), 'SELF_TEST_FAILED'],
    ] as const) {
      const rig = new TestEngine(web, options);
      await rig.engine.reload(MODEL);
      const sift = await enableSift(rig.engine, { tau: 0.75, warmup: 2, siftFrom: 0 });
      await rig.chat([user('hello')], 8);
      expect((await sift.report()).steps.sifted).toBe(0);
      expect(await reasonsOf(sift)).toContain(reason);
      sift.dispose();
      await rig.engine.unload();
    }
  });

  test.each<[string, LibraryOptions, object]>([
    [
      'sliding window',
      LIBRARY,
      { sliding_window_size: 128, context_window_size: -1, attention_sink_size: 4 },
    ],
    ['unknown scalar "other_pages"', edited('max_num_pages', 'other_pages'), {}],
    ['unknown binding "page_list"', edited('page_table_values', 'page_list'), {}],
    ['does not read the page table', edited('let table_end : i32', 'let table_end'), {}],
  ])('%s', async (reason, options, config) => {
    const rig = new TestEngine(web, options, config);
    await rig.engine.reload(MODEL);
    const error: unknown = await enableSift(rig.engine).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(SiftError);
    expect((error as SiftError).code).toBe('UNSUPPORTED_MODEL');
    expect((error as SiftError).message).toContain(reason);
    await rig.chat([user('works as before')], 3);
    expect(await lastError(rig)).toBeLessThan(1e-5);
    await rig.engine.unload();
  });

  test('in a worker: the handler is taken, and the page only sends messages', async () => {
    const channel = new BroadcastChannel('sift-test');
    const worker = new Worker(new URL('../../testing/web-llm/worker.ts', import.meta.url), {
      type: 'module',
    });
    const answer = () =>
      new Promise<MessageEvent>((resolve, reject) => {
        channel.addEventListener('message', resolve, { once: true });
        worker.addEventListener('error', (event) => reject(new Error(event.message)), { once: true });
      });
    expect((await answer()).data).toBe('ready');
    const engine = new web.WebWorkerMLCEngine(worker);
    await expect(enableSift(engine)).rejects.toThrow('in the worker');
    await engine.reload(MODEL);
    await engine.chat.completions.create({ messages: [user('hello')], max_tokens: 6, temperature: 0 });
    const reported = answer();
    channel.postMessage('report');
    expect((await reported).data as SiftReport).toMatchObject({
      steps: { sifted: 2, dense: 2 },
      stockSteps: 1,
    });
    channel.close();
    worker.terminate();
  });

  test('an engine that has sift is not taken twice', async () => {
    const engine = new web.MLCEngine();
    const sift = await enableSift(engine);
    await expect(enableSift(engine)).rejects.toThrow('has sift already');
    sift.dispose();
    (await enableSift(engine)).dispose();
    await expect(enableSift(engine, { tau: 2 })).rejects.toThrow('tau');
  });
});
