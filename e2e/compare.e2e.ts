// A/B in one call, and enabling that is given up, in transformers.js in a browser, on a model with random weights: nothing is mocked.
import { expect, test } from 'vitest';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { pluginPage } from './plugin-page.ts';
import { someText } from './text.ts';

const session = pluginPage('', { small: smallDecoder({ queryHeads: 8, positions: 1024 }) });

test('enabling is given up at every stage without a trace, and can be asked for again; compare tells stock and sift apart', async () => {
  const result = await session.page.evaluate(async (text) => {
    const { loadSmall, enableSift, generate, encode, env, failure, isSupported, countMemory } = window.sift;
    const generator = await loadSmall('small');
    const device = (await env.backends.onnx.webgpu!.device) as GPUDevice;
    const memory = countMemory(device, 'sift');
    const [run] = Object.values(generator.model.sessions as Record<string, object>);
    /** What is ours, if anything: methods of objects that have none of their own otherwise, and bytes of buffers. */
    const traces = () => [
      ...[run!, generator.model, device, device.queue].map((it) => Object.getOwnPropertyNames(it).join()),
      memory.bytes,
    ];
    const before = traces();
    const ids = encode(generator, text).slice(0, 100);
    const aborted: object[] = [];
    for (const stage of ['observing', 'compiling', 'comparing', 'calibrating'] as const) {
      const leaving = new AbortController();
      const error = await enableSift(generator, {
        quality: 'fast',
        siftFrom: 0,
        onUnsupported: 'ignore',
        signal: leaving.signal,
        onProgress: (at) => at.stage === stage && leaving.abort(),
      }).catch((error: unknown) => error as DOMException);
      aborted.push({ name: 'name' in error && error.name, traces: traces() });
    }
    const alone = await generate(generator, ids, 8);
    const shorter = await generate(generator, ids.slice(0, 50), 6);

    const sift = await enableSift(generator, { quality: 'fast', siftFrom: 0 });
    await generate(generator, ids, 4);
    const report = await sift.report();
    const summary = await sift.report({ summary: true });
    sift.disable();
    const held = traces();
    const apart = await sift.compare(text.slice(0, 300), { maxNewTokens: 8 });
    const freed = { held, after: traces() };
    const { enabled } = sift;
    const same = JSON.stringify(await sift.report()) === JSON.stringify({ ...report, enabled: false });
    const unknown = await failure(() => sift.compare(ids, { maxNewToken: 3 } as object));
    sift.dispose();
    const disposed = await failure(() => sift.compare(ids));

    const exact = await enableSift(generator, { quality: 'exact', siftFrom: 0 });
    // The app generates at the same time, on the same model.
    const [close, beside] = await Promise.all([
      exact.compare(ids, { maxNewTokens: 8 }),
      generate(generator, ids.slice(0, 50), 6),
    ]);
    const { steps, conversations } = await exact.report();
    const leaving = new AbortController();
    const left = exact.compare(ids, { signal: leaving.signal }).catch(({ name }) => name);
    leaving.abort();
    const late = await left;
    exact.dispose();
    const after = traces();
    await generator.dispose();
    return {
      browser: await isSupported(),
      report,
      summary,
      aborted,
      before,
      after,
      freed,
      alone,
      shorter,
      beside,
      app: { steps, conversations },
      apart,
      close,
      enabled,
      same,
      unknown,
      disposed,
      late,
    };
  }, someText());
  expect(result.aborted).toEqual(Array(4).fill({ name: 'AbortError', traces: result.before }));
  expect(result.after).toEqual(result.before);
  expect(result.freed.after).toEqual(result.freed.held);
  // The traces are seen where there are some.
  expect(result.freed.held).not.toEqual(result.before);
  const { close, apart } = result;
  // The same tokens as `generate` gives, whatever ends a text.
  expect(result.alone.slice(0, close.stock.tokens.length)).toEqual(close.stock.tokens);
  expect(close).toMatchObject({ promptTokens: 100, firstDifference: null, steps: { sifted: 0 } });
  expect(close.sift.tokens).toEqual(close.stock.tokens);
  expect(result.beside).toEqual(result.shorter);
  expect(result.app).toEqual({ steps: { sifted: 0, dense: 5 }, conversations: 1 });
  expect(close.divergence!.max).toBeLessThan(1e-4);
  expect(close.sift.text).toBe(close.stock.text);
  for (const { firstTokenMilliseconds, millisecondsPerToken } of [close.stock, close.sift]) {
    expect(firstTokenMilliseconds).toBeGreaterThan(0);
    expect(millisecondsPerToken).toBeGreaterThan(0);
  }
  expect(apart.divergence!.mean).toBeGreaterThan(1e-6);
  expect(apart.steps).toEqual({ sifted: apart.divergence!.tokens, dense: 0, stock: 0 });
  expect(result.enabled).toBe(false);
  // Three decode steps after the prompt, of a conversation whose buffers are gone.
  const { report, summary } = result;
  expect(report.speed.steps).toBe(3);
  expect(report.speed.tokensPerSecond).toBeCloseTo(1000 / report.speed.millisecondsPerToken!, 9);
  expect(report.cache).toMatchObject({ kind: 'shared', capacity: 128, freed: true });
  expect(report.cache.gpuBytes).toBeGreaterThan(0);
  expect(new Set(report.layers.flatMap(({ heads }) => heads.map(({ status }) => status)))).toEqual(
    new Set(['given']),
  );
  expect(summary).not.toHaveProperty('layers');
  expect(summary.sentence).toMatch(
    /^Sift is on: 3 steps of 3 sifted, which read \d+% of the rows of V and all of K; .* ms a token, .* tokens a second\.$/,
  );
  expect(result.browser).toEqual({ supported: true, reason: null });
  expect(result.same).toBe(true);
  expect(result.unknown.message).toMatch(/Unknown option `maxNewToken`.*Did you mean `maxNewTokens`\?/);
  expect(result.disposed.code).toBe('DISPOSED');
  expect(result.late).toBe('AbortError');
});
