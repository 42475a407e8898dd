// The plugin's life in transformers.js in a browser, on a model with random weights: nothing is mocked.
import { describe, expect, test } from 'vitest';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { openPage } from './browser.ts';
import { pluginPage } from './plugin-page.ts';
import { someText } from './text.ts';

/** Small, since what is tested is the plugin's life, not the text. */
const MODELS = { small: smallDecoder({ queryHeads: 8, positions: 1024 }) };

const session = pluginPage('', MODELS);

describe('life', () => {
  // With the adapter's narrow subgroups: the runtime's programs take another form, and so do ours.
  const session = pluginPage('?subgroups', MODELS);

  test('disable is stock to the token, pipelines do not disturb each other, a conversation starts anew', async () => {
    const result = await session.page.evaluate(
      async ({ text }) => {
        const { loadSmall, enableSift, encode, generate } = window.sift;
        const first = await loadSmall('small');
        const second = await loadSmall('small');
        const ids = encode(first, text).slice(0, 90);
        const other = encode(first, text).slice(200, 300);
        const sift = await enableSift(first, { warmup: 4, tau: 0.95, siftFrom: 0 });
        const paper = await enableSift(second, { mode: 'paper', warmup: 4, tau: 0.5, siftFrom: 0 });

        const sifted = await generate(first, ids, 12);
        const one = await sift.report();
        const paperTokens = await generate(second, ids, 12);
        const [again, paperReport] = [await sift.report(), await paper.report()];
        await generate(first, other, 10);
        const two = await sift.report();

        sift.disable();
        const disabled = await generate(first, ids, 12);
        const whileDisabled = await sift.report();
        paper.dispose();
        const plain = await generate(second, ids, 12);
        sift.enable();
        const enabled = await generate(first, ids, 12);
        const three = await sift.report();
        sift.dispose();
        // The device is the browser's own again, and enabling once more works.
        const own = Object.getOwnPropertyNames(await window.sift.env.backends.onnx.webgpu!.device);
        const anew = await enableSift(first, { warmup: 4, siftFrom: 0 });
        await generate(first, ids, 8);
        const four = await anew.report();
        anew.dispose();
        const late = await window.sift.failure(() => anew.enable());
        await first.dispose();
        await second.dispose();
        const summary = (r: typeof one) => ({
          steps: r.steps,
          conversations: r.conversations,
          length: r.length,
        });
        return {
          tokens: { sifted, paperTokens, disabled, plain, enabled },
          one: summary(one),
          again: summary(again),
          two: summary(two),
          whileDisabled: summary(whileDisabled),
          three: summary(three),
          four: summary(four),
          paper: {
            ...summary(paperReport),
            fits: paperReport.layers[0]!.heads.map((head) => head.fit?.beta ?? null),
          },
          own,
          late,
        };
      },
      { text: someText() },
    );
    const { tokens } = result;
    expect(tokens.disabled).toEqual(tokens.plain);
    expect(tokens.enabled).toEqual(tokens.sifted);
    // 12 tokens: the prompt gives the first, 11 decode steps the others, of which 4 are warm-up.
    expect(result.one).toEqual({ steps: { sifted: 7, dense: 4 }, conversations: 1, length: 101 });
    expect(result.again).toEqual(result.one);
    expect(result.paper).toMatchObject({ steps: { sifted: 7, dense: 4 }, conversations: 1 });
    expect(result.paper.fits.every((beta) => typeof beta === 'number')).toBe(true);
    expect(result.two).toEqual({ steps: { sifted: 5, dense: 4 }, conversations: 2, length: 109 });
    expect(result.whileDisabled).toEqual(result.two);
    expect(result.three).toEqual({ steps: { sifted: 7, dense: 4 }, conversations: 3, length: 101 });
    expect(result.four.steps).toEqual({ sifted: 3, dense: 4 });
    expect(result.own).toEqual([]);
    expect(result.late.code).toBe('DISPOSED');
  });
});

describe('batches and streams', () => {
  test('prompts of several lengths decoded together give stock tokens with tau 0, and sift', async () => {
    const result = await session.page.evaluate(async (text) => {
      const { keptSmall, enableSift, encode, generateBatch } = window.sift;
      const generator = await keptSmall('small');
      const ids = encode(generator, text);
      const prompts = [ids.slice(0, 70), ids.slice(300, 345)];
      const exact = await enableSift(generator, { tau: 0 });
      const dense = await generateBatch(generator, prompts, 8);
      exact.disable();
      const stock = await generateBatch(generator, prompts, 8);
      exact.dispose();
      const sift = await enableSift(generator, { warmup: 3, siftFrom: 0 });
      await generateBatch(generator, prompts, 8);
      const report = await sift.report();
      sift.dispose();
      return { dense, stock, report };
    }, someText());
    expect(result.dense).toEqual(result.stock);
    expect(result.report.steps).toEqual({ sifted: 4, dense: 3 });
    expect(result.report.layers[0]!.heads).toHaveLength(16);
    expect(result.report.layers[0]!.groups).toHaveLength(4);
    expect(result.report.keptGroup).toBeLessThan(0.8);
  });

  test('the mask of a single prompt grows in one array, that of a batch has its padding, and both are stock while disabled', async () => {
    const result = await session.page.evaluate(async (text) => {
      const { keptSmall, enableSift, encode, generateBatch } = window.sift;
      const generator = await keptSmall('small');
      type Run = (feeds: Record<string, { data: BigInt64Array }>, ...rest: unknown[]) => Promise<unknown>;
      const decoder = Object.values(generator.model.sessions)[0] as { run: Run };
      const run = decoder.run.bind(decoder);
      let masks: { ones: string; room: number }[] = [];
      decoder.run = (feeds, ...rest) => {
        const { data } = feeds.attention_mask!;
        masks.push({ ones: data.join(''), room: data.buffer.byteLength / data.byteLength });
        return run(feeds, ...rest);
      };
      const ids = encode(generator, text);
      const prompts = { single: [ids.slice(0, 50)], batch: [ids.slice(0, 50), ids.slice(300, 320)] };
      const sift = await enableSift(generator, { quality: 'exact' });
      const generations = async () => {
        const made = [];
        for (const rows of [prompts.single, prompts.batch]) {
          masks = [];
          made.push({ tokens: await generateBatch(generator, rows, 6), masks });
        }
        return made;
      };
      const on = await generations();
      sift.disable();
      const off = await generations();
      const reasons = (await sift.report()).reasons.map(({ reason }) => reason);
      sift.dispose();
      const own = Object.hasOwn(generator.model, '_update_model_kwargs_for_generation');
      return { on, off, reasons, own };
    }, someText());
    const { on, off } = result;
    const contents = ({ tokens, masks }: (typeof on)[number]) => ({
      tokens,
      masks: masks.map(({ ones }) => ones),
    });
    expect(on.map(contents)).toEqual(off.map(contents));
    // The prompts' masks are the caller's; the steps' are views.
    expect(on[0]!.masks.map(({ room }) => room > 1)).toEqual([false, true, true, true, true, true]);
    for (const { masks } of [on[1]!, ...off]) expect(masks.every(({ room }) => room === 1)).toBe(true);
    expect(on[1]!.masks.at(-1)!.ones).toBe(`${'1'.repeat(55)}${'0'.repeat(30)}${'1'.repeat(25)}`);
    expect(result.reasons.filter((reason) => reason.includes('mask'))).toEqual([]);
    expect(result.own).toBe(false);
  });

  test('streaming, sampling and a stop in the middle leave nothing behind', async () => {
    const result = await session.page.evaluate(async (text) => {
      const { keptSmall, enableSift, encode, generate, TextStreamer, InterruptableStoppingCriteria } =
        window.sift;
      const generator = await keptSmall('small');
      const sift = await enableSift(generator, { warmup: 3, siftFrom: 0 });
      const ids = encode(generator, text).slice(0, 60);
      const before = await generate(generator, ids, 8);
      let pieces = 0;
      const stop = new InterruptableStoppingCriteria();
      const streamer = new TextStreamer(generator.tokenizer, {
        skip_prompt: true,
        token_callback_function: () => {
          if (++pieces === 6) stop.interrupt();
        },
      });
      await generator(generator.tokenizer.decode(ids.map(BigInt)), {
        max_new_tokens: 40,
        do_sample: true,
        top_k: 20,
        streamer,
        stopping_criteria: stop,
      } as never);
      const interrupted = await sift.report();
      const after = await generate(generator, ids, 8);
      sift.dispose();
      return { before, after, pieces, steps: interrupted.steps, conversations: interrupted.conversations };
    }, someText());
    expect(result.after).toEqual(result.before);
    expect(result.pieces).toBeLessThan(10);
    expect(result.conversations).toBe(2);
    expect(result.steps.dense).toBe(3);
  });
});

describe('crossover', () => {
  test('steps below it read every row, and the report says so; it is measured while sift is enabled', async () => {
    const result = await session.page.evaluate(async (text) => {
      const { keptSmall, enableSift, encode, generate } = window.sift;
      const generator = await keptSmall('small');
      const ids = encode(generator, text).slice(0, 60);
      const given = await enableSift(generator, { siftFrom: 64 });
      await generate(generator, ids, 8);
      const report = await given.report();
      given.dispose();
      const auto = await enableSift(generator);
      const measured = (await auto.report()).crossover;
      auto.dispose();
      return { report, measured };
    }, someText());
    const { report, measured } = result;
    // The prompt gives the first token; the steps that follow have 61 to 67 keys.
    expect(report.steps).toEqual({ sifted: 4, dense: 3 });
    expect(report.shortSteps).toBe(3);
    expect(report.reasons).toEqual([{ reason: 'shorter than siftFrom (64 keys)', count: 3 }]);
    for (const layer of report.layers) expect(layer.shortSteps).toBe(3);
    expect(report.crossover).toMatchObject([{ siftFrom: 64, source: 'given', samples: [] }]);
    console.log(`measured: ${JSON.stringify(measured)}`);
    expect(measured).toHaveLength(1);
    expect(measured[0]!.source).toBe('measured');
    expect(measured[0]!.shape).toMatch(/^8\/2 heads of \d+, f32$/);
    expect(measured[0]!.samples.length).toBeGreaterThan(0);
  });
});

describe('errors', () => {
  test('each says what is wrong and what to do', async () => {
    const failures = await session.page.evaluate(async () => {
      const { keptSmall, loadSmall, enableSift, encode, generate, failure, env } = window.sift;
      const generator = await keptSmall('small');
      const result = {
        tau: await failure(() => enableSift(generator, { tau: 1.5 })),
        mode: await failure(() => enableSift(generator, { mode: 'fast' as never })),
        unknown: await failure(() => enableSift(generator, { window: 3 } as never)),
        nothing: await failure(() => enableSift(undefined as never)),
        twice: { code: '', message: '' },
        wasm: { code: '', message: '' },
      };
      const sift = await enableSift(generator, { tau: 0 });
      result.twice = await failure(() => enableSift(generator));
      sift.dispose();
      const wasm = await loadSmall('small', { device: 'wasm' });
      result.wasm = await failure(() => enableSift(wasm));
      await wasm.dispose();
      const { webgpu } = env.backends.onnx as { webgpu: object };
      (env.backends.onnx as { webgpu?: object }).webgpu = {};
      // The library need not say which device it uses.
      (await enableSift(generator)).dispose();
      (env.backends.onnx as { webgpu?: object }).webgpu = webgpu;
      await generate(generator, encode(generator, 'Once upon a time'), 2);
      return result;
    });
    expect(failures.tau).toMatchObject({ code: 'INVALID_OPTION', message: expect.stringContaining('tau') });
    expect(failures.mode).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining("'paper'"),
    });
    expect(failures.unknown).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('window'),
    });
    expect(failures.nothing).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('target'),
    });
    expect(failures.twice.code).toBe('INVALID_OPTION');
    expect(failures.wasm).toMatchObject({
      code: 'NOT_WEBGPU_PIPELINE',
      message: expect.stringContaining("'webgpu'"),
    });
  });

  test('enabling after the first generation is refused, and the pipeline still works', async () => {
    // A page of its own: programs compiled by an earlier pipeline of the page would be known.
    const late = await openPage('/e2e/page/index.html', undefined, MODELS);
    try {
      await late.page.waitForFunction(() => 'sift' in window);
      const result = await late.page.evaluate(async () => {
        const { loadSmall, enableSift, encode, generate, failure } = window.sift;
        const generator = await loadSmall('small');
        const ids = encode(generator, 'The old house at the end of the street');
        const before = await generate(generator, ids, 4);
        const error = await failure(() => enableSift(generator));
        const after = await generate(generator, ids, 4);
        return { before, error, after };
      });
      expect(result.error).toMatchObject({
        code: 'LATE_ENABLE',
        message: expect.stringContaining('right after the model is loaded'),
      });
      expect(result.after).toEqual(result.before);
      expect(late.outside).toEqual([]);
    } finally {
      await late.close();
    }
  });
});
