// The shadow of K in transformers.js: generation goes on whatever is done with the KV cache, and the report says what was read. With a
// threshold that every row passes, all of K and V is read, so that tokens are stock's. What the shadow holds is tested where the kernels are
// (src/kernel/proof/shadow.gpu.test.ts).
import { expect, test } from 'vitest';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { pluginPage } from './plugin-page.ts';

const VOCABULARY = 260;
const session = pluginPage('?subgroups', {
  shadowed: smallDecoder({ vocabulary: VOCABULARY, positions: 1024 }),
});

const text = (length: number, seed: number) =>
  Array.from({ length }, (_, i) => 1 + ((i * 61 + i * i * seed) % (VOCABULARY - 8)));

/** Reads every row by the shadow: the option has no level so low, so that it is a policy of one's own. */
const ALL_ROWS = 1e-9;

test('every row read by the shadow: stock’s tokens, in turns, batches, and after stock’s own steps', async () => {
  const result = await session.page.evaluate(
    async ({ prompt, turns, batch, c }) => {
      const { loadSmall, enableSift, generate, generateBatch, converse, shadowPolicy } = window.sift;
      const generator = await loadSmall('shadowed');
      const all = async (before: (turn: number) => void = () => {}) => ({
        // More new tokens than the rows that the newest edge keys cover, so that rows are encoded while decoding.
        long: await generate(generator, prompt, 110),
        turns: await converse(generator, turns, 20, before),
        batch: await generateBatch(generator, batch, 60),
      });
      const sift = await enableSift(generator, { policy: shadowPolicy(c), siftFrom: 0 });
      const ours = await all((turn) => (turn === 1 ? sift.disable() : sift.enable()));
      const report = await sift.report();
      sift.dispose();
      const stock = await all();
      await generator.dispose();
      return { ours, stock, report };
    },
    {
      prompt: text(190, 3),
      turns: [text(120, 5), text(30, 7), text(40, 11)],
      batch: [text(150, 13), text(90, 17)],
      c: ALL_ROWS,
    },
  );
  expect(result.ours).toEqual(result.stock);
  const { report } = result;
  expect(report.policy.keys).toBe('shadow');
  expect(report.steps).toEqual({ sifted: 59, dense: 0 });
  expect(report.keptGroup).toBe(1);
  expect(report.bytes.shadowRead).toBeGreaterThan(0);
  expect(report.bytes.shadowMemory).toBeGreaterThan(0);
});

test('K is read where it counts; without memory for the shadow all of K is, and the report says so', async () => {
  const result = await session.page.evaluate(
    async (prompt) => {
      const { loadSmall, enableSift, generate, exhaustMemory, env } = window.sift;
      const generator = await loadSmall('shadowed');
      const sift = await enableSift(generator, { keys: 'shadow', siftFrom: 0 });
      await generate(generator, prompt, 12);
      const with_ = await sift.report();
      const device = (await (env.backends.onnx as { webgpu: { device: Promise<GPUDevice> } }).webgpu.device)!;
      const restore = exhaustMemory(device, 0, 'sift shadow');
      // A longer text needs a larger shadow.
      const tokens = await generate(generator, [...prompt, ...prompt, ...prompt], 12);
      restore();
      const without = await sift.report();
      await generate(generator, prompt, 12);
      const again = await sift.report();
      sift.dispose();
      await generator.dispose();
      return { with_, without, again, tokens };
    },
    text(200, 3),
  );
  for (const { bytes, steps, policy } of [result.with_, result.again]) {
    expect(policy.keys).toBe('shadow');
    expect(steps).toEqual({ sifted: 11, dense: 0 });
    expect(bytes.keysSaved).toBeGreaterThan(0);
    expect(bytes.keysRead).toBe(bytes.valuesRead);
  }
  const { without } = result;
  expect(result.tokens).toHaveLength(12);
  expect(without.policy.keys).toBe('exact');
  expect(without.steps).toEqual({ sifted: 11, dense: 0 });
  expect(without.bytes).toMatchObject({ keysSaved: 0, shadowRead: 0, shadowMemory: 0 });
  expect(without.reasons.map(({ reason }) => reason).join()).toMatch(
    /all of K is read: The shadow of K needs/,
  );
});
