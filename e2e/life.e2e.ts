// Sequences of life on both runtimes: those that failed once, and some of the random ones. `npm run trust` runs many.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Action } from './life/action.ts';
import { Pages } from './life/pages.ts';
import { readRegressions } from './life/record.ts';
import { runActions, runSeed } from './life/sequence.ts';
import { hubPlay } from './life/stage.ts';
import type { Action as EngineAction } from './life/web-llm/action.ts';
import { enginePlay } from './life/web-llm/stage.ts';

/** Seeds of the sequences that CI runs, as many as it has time for; others than those of the record, which begin at 1. */
const FIRST = 100_001;
const HUB_SEQUENCES = 5;
const ENGINE_SEQUENCES = 3;

/** The kernels of others take the software adapter too long to compile. */
const CI_POLICIES = ['exact', 'default', 'exact on the stock cache'] as const;

let pages: Pages;
beforeAll(async () => {
  pages = await Pages.open();
});
afterAll(() => pages?.close());

describe('sequences of life', () => {
  test('those that failed once', async () => {
    const plays = { hub: hubPlay(pages), engine: enginePlay(pages) };
    for (const { runtime, seed, error, actions } of readRegressions()) {
      const run =
        runtime === 'web-llm'
          ? runActions(plays.engine, actions as EngineAction[])
          : runActions(plays.hub, actions as Action[]);
      await run.catch((cause: unknown) => {
        throw new Error(`The sequence of seed ${seed} fails again (it was: ${error}): ${cause}`, { cause });
      });
    }
    await plays.hub.stage.renew();
    await plays.engine.stage.renew();
  });

  test(`${HUB_SEQUENCES} random ones on transformers.js`, async () => {
    const play = hubPlay(pages, { policies: CI_POLICIES });
    for (let seed = FIRST; seed < FIRST + HUB_SEQUENCES; seed++)
      expect(await runSeed(play, seed), `seed ${seed}`).toBeUndefined();
    console.log(JSON.stringify(play.stage.counts));
    expect(play.stage.counts.steps).toBeGreaterThan(10);
  });

  test(`${ENGINE_SEQUENCES} random ones on web-llm`, async () => {
    const play = enginePlay(pages);
    for (let seed = FIRST; seed < FIRST + ENGINE_SEQUENCES; seed++)
      expect(await runSeed(play, seed), `seed ${seed}`).toBeUndefined();
    expect(play.stage.counts.steps).toBeGreaterThan(0);
  });
});
