// What new users met: an enabling that is not awaited, a runtime that refuses the shared cache, a model of another kind, pipelines that
// come and go. docs/trust.md says which test holds which of their cases.
import { describe, expect, test } from 'vitest';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { smallSpeech } from '../tools/models/small-speech.ts';
import { openPage } from './browser.ts';
import { pluginPage } from './plugin-page.ts';

const SIZES = { vocabulary: 260 };
const MODELS = {
  plain: smallDecoder(SIZES),
  other: smallDecoder({ ...SIZES, queryHeads: 2, kvHeads: 2, headSize: 64, seed: 2 }),
  speech: smallSpeech(),
};
const PROMPT = Array.from({ length: 40 }, (_, i) => 1 + ((i * 61) % 250));

describe('new users', () => {
  const session = pluginPage('', MODELS);

  test('an enabling that is not awaited: the generation that runs into it is stock, and the shared cache is kept', async () => {
    const result = await session.page.evaluate(async (prompt) => {
      const { keptSmall, enableSift, generate } = window.sift;
      const generator = await keptSmall('plain');
      const options = { quality: 'exact', siftFrom: 0 } as const;
      // Once before and once after the programs are known.
      const tokens = [];
      const caches = [];
      for (let i = 0; i < 2; i++) {
        const enabling = enableSift(generator, options);
        tokens.push(await generate(generator, prompt, 8));
        const sift = await enabling;
        tokens.push(await generate(generator, prompt, 8));
        caches.push((await sift.report()).cache);
        sift.dispose();
      }
      const stock = await generate(generator, prompt, 8);
      return { tokens, stock, caches };
    }, PROMPT);
    for (const tokens of result.tokens) expect(tokens).toEqual(result.stock);
    for (const cache of result.caches) expect(cache).toMatchObject({ kind: 'shared', reasons: [] });
  });

  test('a runtime that refuses one buffer as past and present has its own cache, also later in a generation', async () => {
    const result = await session.page.evaluate(async (prompt) => {
      const { loadSmall, enableSift, generate } = window.sift;
      // What was proved on a kept one would not be proved again.
      const generator = await loadSmall('plain');
      const session = Object.values(generator.model.sessions)[0] as {
        run(feeds: object, fetches?: Record<string, unknown>): Promise<unknown>;
      };
      const run = session.run.bind(session);
      let refuses = true;
      session.run = (feeds, fetches) =>
        refuses && fetches && Object.values(fetches).some(Boolean)
          ? Promise.reject(new Error('refused by the test'))
          : run(feeds, fetches);
      const options = { quality: 'exact', siftFrom: 0 } as const;
      const refused = await enableSift(generator, options);
      const first = await generate(generator, prompt, 8);
      const before = (await refused.report()).cache;
      refused.disable();
      const stock = await generate(generator, prompt, 8);
      refused.dispose();
      refuses = false;
      const sift = await enableSift(generator, options);
      const second = await generate(generator, prompt, 8);
      refuses = true;
      const third = await generate(generator, prompt, 8);
      const after = (await sift.report()).cache;
      sift.dispose();
      await generator.dispose();
      return { stock, tokens: [first, second, third], before, after };
    }, PROMPT);
    for (const tokens of result.tokens) expect(tokens).toEqual(result.stock);
    expect(result.before).toMatchObject({
      kind: 'stock',
      reasons: [{ reason: expect.stringContaining('refused by the test') }],
    });
    expect(result.after.reasons).toContainEqual({
      reason: expect.stringContaining('refused by the test'),
      // The prompt, and seven steps.
      count: 8,
    });
  });

  test('create, enable, dispose, and again, until no pipeline is left in between', async () => {
    const result = await session.page.evaluate(async (prompt) => {
      const { loadSmall, enableSift, failure, generate } = window.sift;
      const rounds = [];
      for (let i = 0; i < 2; i++) {
        const generator = await loadSmall('plain');
        const sift = await enableSift(generator, { quality: 'exact', siftFrom: 0 });
        const ours = await generate(generator, prompt, 6);
        const { steps } = await sift.report();
        sift.disable();
        const stock = await generate(generator, prompt, 6);
        await generator.dispose();
        const gone = await failure(() => sift.enable());
        rounds.push({ same: String(ours) === String(stock), steps, gone: gone.code });
      }
      return rounds;
    }, PROMPT);
    expect(result).toEqual(Array(2).fill({ same: true, steps: { sifted: 0, dense: 5 }, gone: 'DISPOSED' }));
  });

  test('a speech model is refused with the reason, and the page lives', async () => {
    const result = await session.page.evaluate(async (prompt) => {
      const { keptSmall, loadSpeech, enableSift, failure, generate } = window.sift;
      const generator = await keptSmall('plain');
      const before = await generate(generator, prompt, 4);
      const speech = await loadSpeech('speech');
      const error = await failure(() => enableSift(speech));
      const after = await generate(generator, prompt, 4);
      await speech.dispose();
      return { error, before, after };
    }, PROMPT);
    expect(result.error).toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining('encoder-decoder'),
    });
    expect(result.after).toEqual(result.before);
  });
});

test('a model that is enabled after another of another shape has answered is served, or LATE_ENABLE names the line', async () => {
  // A page of its own: what other tests compiled would be known.
  const late = await openPage('/e2e/page/index.html', undefined, MODELS);
  try {
    await late.page.waitForFunction(() => 'sift' in window);
    const result = await late.page.evaluate(async (prompt) => {
      const { loadSmall, enableSift, failure, generate } = window.sift;
      const [first, second] = [await loadSmall('plain'), await loadSmall('other')];
      await generate(first, prompt, 3);
      const stock = await generate(second, [7], 1);
      const error = await failure(async () => {
        await enableSift(second);
        throw Object.assign(new Error('served'), { code: 'SERVED' });
      }).catch(({ code, message }: { code: string; message: string }) => ({ code, message }));
      return { error, stock, after: await generate(second, [7], 1) };
    }, PROMPT);
    if (result.error.code !== 'SERVED')
      expect(result.error).toMatchObject({
        code: 'LATE_ENABLE',
        message: expect.stringContaining('sift-attention/register'),
      });
    expect(result.after).toEqual(result.stock);
  } finally {
    await late.close();
  }
});
