// Sifted text beside stock's, in transformers.js on the embedded model, in a browser: nothing is mocked. On the software adapter it takes
// six minutes, so it runs at night (SIFT_NIGHTLY=1) and on a GPU. In CI the demo's test has the default find a code, and the quality gate
// the paper's mode.
import { describe, expect, test } from 'vitest';
import { longRuns } from './long-runs.ts';
import { pluginPage } from './plugin-page.ts';
import { someText } from './text.ts';

const WARMUP = 24;
describe.runIf(longRuns)('text', () => {
  const session = pluginPage();

  test('rows are skipped, a code is recalled in sifted steps, the text stays close to stock', async () => {
    const statement = ' The access code for the silent harbor is 48213. Remember it.';
    const question =
      '\n\nQuestion: What is the access code for the silent harbor?\nAnswer: The access code for the silent harbor is';
    const result = await session.page.evaluate(
      async ({ text, statement, question, warmup }) => {
        const { load, enableSift, encode, decodeForced } = window.sift;
        const generator = await load();
        const words = encode(generator, text);
        const planted = encode(generator, statement);
        const prompt = [...words.slice(0, 200), ...planted, ...words.slice(200, 420 - planted.length)];
        // 32 steps of the text that follows end the warm-up; the question is asked in sifted steps.
        const forced = [...words.slice(420, 452), ...encode(generator, question)];
        // Before the first generation: the runtime compiles its attention then.
        (await enableSift(generator, { siftFrom: 0 })).dispose();
        const stock = await decodeForced(generator, prompt, forced, 6);
        const answer = (top: number[]) => generator.tokenizer.decode(top.slice(-7, -1).map(BigInt));
        const logSoftmax = (row: Float32Array) => {
          const top = row.reduce((a, b) => Math.max(a, b));
          const sum = row.reduce((total, value) => total + Math.exp(value - top), 0);
          return row.map((value) => value - top - Math.log(sum));
        };
        const run = async (options: object, warmup: number) => {
          const sift = await enableSift(generator, options);
          const ours = await decodeForced(generator, prompt, forced, 6);
          const report = await sift.report();
          sift.dispose();
          // KL of the sifted steps, and how often the most likely token is the same.
          let kl = 0;
          let same = 0;
          const steps = forced.length - warmup;
          for (let step = warmup + 1; step <= forced.length; step++) {
            const p = logSoftmax(stock.logits[step]!);
            const q = logSoftmax(ours.logits[step]!);
            p.forEach((value, i) => {
              kl += (Math.exp(value) * (value - q[i]!)) / steps;
            });
            same += Number(stock.top[step] === ours.top[step]) / steps;
          }
          return { answer: answer(ours.top), kl, same, report };
        };
        const balanced = await run({ siftFrom: 0 }, 0);
        const learned = await run({ mode: 'learned', warmup, siftFrom: 0 }, warmup);
        await generator.dispose();
        return { stock: answer(stock.top), balanced, learned, steps: forced.length + 6 };
      },
      { text: someText(), statement, question, warmup: WARMUP },
    );
    expect(result.stock).toContain('48213');
    for (const name of ['balanced', 'learned'] as const) {
      const { report, kl, same, answer } = result[name];
      console.log(
        `${name}: V rows read ${(100 * report.keptGroup!).toFixed(1)}%, kept per head ${(100 * report.keptHead!).toFixed(1)}%, KL ${kl.toExponential(2)}, same top-1 ${(100 * same).toFixed(1)}%, answer "${answer}" (stock "${result.stock}")`,
      );
      expect(answer).toContain('48213');
      expect(kl).toBeLessThan(0.02);
      expect(same).toBeGreaterThan(0.85);
      expect(report.steps.dense).toBe(name === 'learned' ? WARMUP : 0);
      expect(report.steps.sifted).toBe(result.steps - report.steps.dense);
      expect(report.keptGroup).toBeGreaterThan(0.03);
      expect(report.keptGroup).toBeLessThan(0.5);
      expect(report.keptHead).toBeGreaterThan(0.01);
      expect(report.keptHead).toBeLessThan(0.3);
      expect(report.bytes.valuesSaved).toBeGreaterThan(0);
    }
    const { report } = result.balanced;
    expect(report.layers).toHaveLength(3);
    for (const { heads } of report.layers) expect(heads).toHaveLength(8);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });
});
