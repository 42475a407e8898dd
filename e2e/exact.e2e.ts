// Every row kept, in transformers.js on the embedded model, in a browser: nothing is mocked.
import { expect, test } from 'vitest';
import { pluginPage } from './plugin-page.ts';
import { someText } from './text.ts';

/** Largest difference of a logit (they reach about 15) that f32 rounding explains: 7.6e-6 was seen. */
const LOGIT_BOUND = 1e-4;
const PROMPT = 256;
const NEW = 64;

const session = pluginPage();

test(`tau 0: the tokens of ${NEW} greedy steps are stock's, the logits differ by rounding`, async () => {
  const result = await session.page.evaluate(
    async ({ text, prompt, count }) => {
      const { load, enableSift, encode, decodeForced } = window.sift;
      const generator = await load();
      const ids = encode(generator, text).slice(0, prompt);
      const sift = await enableSift(generator, { tau: 0 });
      const ours = await decodeForced(generator, ids, [], count);
      const report = await sift.report();
      sift.disable();
      const stock = await decodeForced(generator, ids, [], count);
      sift.dispose();
      await generator.dispose();
      let worst = 0;
      stock.logits.forEach((row, step) => {
        row.forEach((value, i) => {
          worst = Math.max(worst, Math.abs(value - ours.logits[step]![i]!));
        });
      });
      return { ours: ours.top, stock: stock.top, worst, report };
    },
    { text: someText(), prompt: PROMPT, count: NEW },
  );
  console.log(`tau 0: ${NEW} tokens, largest logit difference ${result.worst.toExponential(2)}`);
  expect(result.ours).toEqual(result.stock);
  expect(result.worst).toBeGreaterThan(0); // the same bits would mean that our kernel did not run
  expect(result.worst).toBeLessThan(LOGIT_BOUND);
  expect(result.report.steps).toEqual({ sifted: 0, dense: NEW });
  expect(result.report.reasons).toEqual([{ reason: 'the policy keeps every row', count: NEW }]);
  expect(result.report.bytes.valuesSaved).toBe(0);
  expect(result.report.bytes.valuesRead).toBe(result.report.bytes.keysRead);
});
