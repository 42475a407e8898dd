// Models that only look like those the plugin was built on, and calls that come at a bad time. With every row kept, so that tokens must
// be stock's; and whatever happens, the page's other pipelines go on.
import { describe, expect, test } from 'vitest';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { pluginPage } from './plugin-page.ts';

const session = pluginPage('', {
  plain: smallDecoder(),
  other: smallDecoder({ queryHeads: 2, kvHeads: 2, headSize: 64, seed: 2 }),
  sinks: smallDecoder({ layers: 3, sinks: [0, 2] }),
  hybrid: smallDecoder({ layers: 4, convolutions: [0, 2] }),
  short: smallDecoder({ positions: 40 }),
  'too-short': smallDecoder({ positions: 3 }),
  // Its configuration says more than there is: the run fails.
  liar: smallDecoder({ positions: 20, statedPositions: 512 }),
});

const PROMPT = Array.from({ length: 24 }, (_, i) => 20 + ((i * 61) % 4000));

describe('models', () => {
  for (const [name, routed] of [
    ['sinks', [0, 1, 2]],
    ['short', [0, 1]],
  ] as const) {
    test(`${name}: tokens are stock's, and layers ${routed.join(', ')} are routed`, async () => {
      const result = await session.page.evaluate(
        async ([name, prompt]) => {
          const { loadSmall, enableSift, generate } = window.sift;
          const generator = await loadSmall(name);
          const sift = await enableSift(generator, { quality: 'exact', siftFrom: 0 });
          const ours = await generate(generator, prompt, 12);
          const report = await sift.report();
          sift.disable();
          const stock = await generate(generator, prompt, 12);
          sift.dispose();
          await generator.dispose();
          return { ours, stock, layers: report.layers.map(({ layer }) => layer), reasons: report.reasons };
        },
        [name, PROMPT] as const,
      );
      expect(result.ours).toEqual(result.stock);
      expect(result.layers).toEqual(routed);
      if (name === 'sinks')
        expect(result.reasons).toEqual([{ reason: 'the policy keeps every row', count: 11 }]);
    });
  }

  test('what cannot be tried or sifted is refused with a SiftError, and other pipelines go on', async () => {
    const result = await session.page.evaluate(async (prompt) => {
      const { loadSmall, enableSift, generate, failure } = window.sift;
      const plain = await loadSmall('plain');
      // With one pipeline sifted, the plugin sees every program of the device.
      const sift = await enableSift(plain, { siftFrom: 0 });
      sift.disable();
      const before = await generate(plain, prompt, 6);
      const failures: Record<string, { code: string; message: string }> = {};
      for (const name of ['too-short', 'liar']) {
        const generator = await loadSmall(name);
        failures[name] = await failure(() => enableSift(generator));
        await generator.dispose();
      }
      const after = await generate(plain, prompt, 6);
      sift.dispose();
      await plain.dispose();
      return { failures, before, after };
    }, PROMPT);
    for (const failure of Object.values(result.failures)) expect(failure.code).toBe('UNSUPPORTED_MODEL');
    expect(result.failures['too-short']!.message).toContain('3 positions');
    expect(result.failures.liar!.message).toContain('could not be tried');
    expect(result.after).toEqual(result.before);
  });
});

test('a static cache of the caller’s own is one conversation, and its steps are routed', async () => {
  const result = await session.page.evaluate(async (prompt) => {
    const { env, Tensor, keptSmall, enableSift } = window.sift;
    const capacity = 64;
    const generator = await keptSmall('plain');
    const decoder = Object.values(generator.model.sessions)[0] as unknown as {
      inputNames: string[];
      run(feeds: object, fetches: object): Promise<{ logits: { data: Float32Array } }>;
    };
    const int64 = (values: number[]) =>
      new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]).ort_tensor;
    const device = await (env.backends.onnx.webgpu as { device: Promise<GPUDevice> }).device;
    const Ort = int64([0]).constructor as unknown as {
      fromGpuBuffer(buffer: GPUBuffer, options: object): object;
    };
    /** The logits of all steps, on a new cache of 64 rows that each run writes in place. */
    const decode = async () => {
      const past: Record<string, object> = {};
      const fetches: Record<string, object | null> = { logits: null };
      for (const name of decoder.inputNames.filter((each) => each.startsWith('past'))) {
        const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
        const buffer = device.createBuffer({ size: 2 * capacity * 32 * 4, usage });
        past[name] = Ort.fromGpuBuffer(buffer, { dataType: 'float32', dims: [1, 2, capacity, 32] });
        fetches[name.replace('past_key_values', 'present')] = past[name];
      }
      const logits: number[][] = [];
      for (let step = 0, ids = prompt; step < 8; ids = [100 + step++]) {
        const attention_mask = int64(Array(prompt.length + step).fill(1));
        const outputs = await decoder.run({ input_ids: int64(ids), attention_mask, ...past }, fetches);
        logits.push([...outputs.logits.data.slice(-8192)]);
      }
      return logits;
    };
    const sift = await enableSift(generator, { quality: 'exact', siftFrom: 0 });
    const before = (await sift.report()).conversations;
    const ours = await decode();
    const { steps, stockSteps, conversations } = await sift.report();
    sift.disable();
    const stock = await decode();
    sift.dispose();
    const differences = ours.flatMap((row, i) => row.map((value, j) => Math.abs(value - stock[i]![j]!)));
    return {
      steps,
      stockSteps,
      conversations: conversations - before,
      worst: differences.reduce((a, b) => Math.max(a, b)),
    };
  }, PROMPT);
  expect(result).toMatchObject({ steps: { sifted: 0, dense: 7 }, stockSteps: 0, conversations: 1 });
  expect(result.worst).toBeLessThan(1e-3);
});

describe('enabling', () => {
  test('twice at once: the second call is refused, the first works, and nothing stays behind', async () => {
    const result = await session.page.evaluate(async (prompt) => {
      const { keptSmall, enableSift, generate, failure } = window.sift;
      const generator = await keptSmall('plain');
      const options = { quality: 'exact', siftFrom: 0 } as const;
      const first = enableSift(generator, options);
      const second = await failure(() => enableSift(generator, options));
      const sift = await first;
      const third = await failure(() => enableSift(generator, options));
      await generate(generator, prompt, 3);
      const { steps } = await sift.report();
      sift.dispose();
      const run = Object.hasOwn(Object.values(generator.model.sessions)[0] as object, 'run');
      const again = await enableSift(generator, options);
      again.dispose();
      return { second, third, steps, run };
    }, PROMPT);
    expect([result.second.code, result.third.code]).toEqual(['INVALID_OPTION', 'INVALID_OPTION']);
    expect(result.steps).toEqual({ sifted: 0, dense: 2 });
    expect(result.run).toBe(false);
  });

  test('two pipelines at once while a third generates: all work, and the shared cache is kept', async () => {
    const result = await session.page.evaluate(async (prompt) => {
      const { loadSmall, enableSift, generate } = window.sift;
      const [a, b, c] = [await loadSmall('plain'), await loadSmall('other'), await loadSmall('hybrid')];
      const options = { quality: 'exact', siftFrom: 0 } as const;
      const running = await enableSift(c, options);
      let going = true;
      const answers: number[][] = [];
      const answering = (async () => {
        while (going) answers.push(await generate(c, prompt, 8));
      })();
      const sifts = await Promise.all([enableSift(a, options), enableSift(b, options)]);
      going = false;
      await answering;
      const reports = [];
      const tokens = [];
      for (const [i, generator] of [a, b].entries()) {
        const ours = await generate(generator, prompt, 8);
        reports.push(await sifts[i]!.report());
        sifts[i]!.dispose();
        tokens.push([ours, await generate(generator, prompt, 8)]);
      }
      running.dispose();
      const stock = await generate(c, prompt, 8);
      for (const generator of [a, b, c]) await generator.dispose();
      return { tokens, answers, stock, caches: reports.map(({ cache }) => cache) };
    }, PROMPT);
    for (const [ours, stock] of result.tokens) expect(ours).toEqual(stock);
    for (const answer of result.answers) expect(answer).toEqual(result.stock);
    expect(result.answers.length).toBeGreaterThan(0);
    for (const cache of result.caches) expect(cache).toMatchObject({ kind: 'shared', reasons: [] });
  });

  test('while another pipeline learns its thresholds: it learns the same as when left alone', async () => {
    const result = await session.page.evaluate(async (prompt) => {
      const { keptSmall, loadSmall, enableSift, generateBatch } = window.sift;
      // What is enabled meanwhile is new to the page, so that there is everything to compile and to try.
      const [a, b] = [await keptSmall('plain'), await loadSmall('other')];
      const sift = await enableSift(a, { mode: 'learned', warmup: 24, siftFrom: 0 });
      const learned = async (atStep: (step: number) => void) => {
        let step = 0;
        const streamer = { put: () => atStep(step++), end() {} };
        const tokens = await generateBatch(a, [prompt], 48, { streamer });
        const { layers, reasons, stockSteps } = await sift.report();
        const heads = layers.flatMap((layer) =>
          layer.heads.map(({ status, fit, kept }) => ({ status, fit, kept })),
        );
        return { tokens, heads, reasons, stockSteps };
      };
      const alone = await learned(() => {});
      let enabled: Promise<{ dispose(): void }> | undefined;
      const meanwhile = await learned((step) => {
        if (step === 3) enabled = enableSift(b, { siftFrom: 0 });
      });
      (await enabled)!.dispose();
      sift.dispose();
      await b.dispose();
      return { alone, meanwhile };
    }, PROMPT);
    expect(result.alone.stockSteps).toBe(0);
    for (const { status } of result.alone.heads) expect(['fitted', 'unfit']).toContain(status);
    expect(result.alone.heads.some(({ status }) => status === 'fitted')).toBe(true);
    expect(result.meanwhile).toEqual(result.alone);
  });

  test('a pipeline disposed of meanwhile: DISPOSED, and other pipelines go on', async () => {
    const result = await session.page.evaluate(async (prompt) => {
      const { loadSmall, keptSmall, enableSift, generate, failure } = window.sift;
      const other = await keptSmall('plain');
      const codes: string[] = [];
      for (const stage of ['observing', 'compiling', 'comparing']) {
        const generator = await loadSmall('plain');
        let reached = () => {};
        const stageReached = new Promise<void>((resolve) => {
          reached = resolve;
        });
        const outcome = failure(() =>
          enableSift(generator, {
            siftFrom: 0,
            onProgress: (at) => at.stage === stage && reached(),
          }),
        );
        await stageReached;
        await generator.dispose();
        codes.push((await outcome).code);
      }
      const tokens = await generate(other, prompt, 4);
      return { codes, tokens };
    }, PROMPT);
    expect(result.codes).toEqual(Array(3).fill('DISPOSED'));
    expect(result.tokens).toHaveLength(4);
  });
});
