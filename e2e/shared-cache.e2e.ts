// The shared KV cache under what users do with transformers.js, against the stock runtime, in a browser. With tau 0: every row is
// kept, so that the tokens must be stock's.
import { describe, expect, test } from 'vitest';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { pluginPage } from './plugin-page.ts';
import { someText } from './text.ts';

/** Small, since what is tested is the plugin's life, not the text. */
const MODELS = { small: smallDecoder({ queryHeads: 8, positions: 1024 }) };

const session = pluginPage('', MODELS);

describe('shared KV cache', () => {
  test('greedy decoding over a growth of the cache is stock to the token; the report says what happened', async () => {
    const result = await session.page.evaluate(async (text) => {
      const { loadSmall, enableSift, encode, decodeForced } = window.sift;
      const generator = await loadSmall('small');
      const ids = encode(generator, text).slice(0, 250);
      const sift = await enableSift(generator, { tau: 0, cache: 'shared' });
      const ours = await decodeForced(generator, ids, [], 12);
      const report = await sift.report();
      sift.disable();
      const stock = await decodeForced(generator, ids, [], 12);
      sift.dispose();
      const alone = await enableSift(generator, { tau: 0, cache: 'stock' });
      const copied = await decodeForced(generator, ids, [], 12);
      const stockReport = await alone.report();
      alone.dispose();
      await generator.dispose();
      // The same attention kernels on a shared cache and on a copied one: the same bits.
      const same = ours.logits.every((row, i) => row.every((value, j) => value === copied.logits[i]![j]));
      return { ours: ours.top, stock: stock.top, same, cache: report.cache, stockCache: stockReport.cache };
    }, someText());
    expect(result.ours).toEqual(result.stock);
    expect(result.same).toBe(true);
    expect(result.cache).toMatchObject({ kind: 'shared', grown: 1, copied: 0, reasons: [] });
    expect(result.stockCache).toMatchObject({ kind: 'stock', steps: 0, reasons: [{ reason: 'asked for' }] });
  });

  test('a kept cache over several turns, switched off and on between them; tokens are stock', async () => {
    const result = await session.page.evaluate(async (text) => {
      const { loadSmall, enableSift, encode, converse } = window.sift;
      const generator = await loadSmall('small');
      const words = encode(generator, text);
      const turns = [words.slice(0, 40), words.slice(40, 50), words.slice(50, 90), words.slice(90, 95)];
      const sift = await enableSift(generator, { tau: 0 });
      const shared = await converse(generator, turns, 4);
      const kept = (await sift.report()).cache;
      const switched = await converse(generator, turns, 4, (turn) =>
        turn % 2 ? sift.disable() : sift.enable(),
      );
      const mixed = (await sift.report()).cache;
      sift.dispose();
      const stock = await converse(generator, turns, 4);
      await generator.dispose();
      return { shared, switched, stock, kept, mixed };
    }, someText());
    expect(result.shared).toEqual(result.stock);
    expect(result.switched).toEqual(result.stock);
    expect(result.kept.copied).toBe(0);
    expect(result.mixed.copied).toBe(1); // turn 2 takes the runtime's own cache over
  });

  test('two continuations of one past are independent; a view hands out its rows like the runtime', async () => {
    const result = await session.page.evaluate(async (text) => {
      const { loadSmall, enableSift, encode, fork } = window.sift;
      const generator = await loadSmall('small');
      const words = encode(generator, text);
      const branches: [number[], number[]] = [words.slice(100, 103), words.slice(200, 203)];
      const sift = await enableSift(generator, { tau: 0 });
      const ours = await fork(generator, words.slice(0, 50), branches);
      const { cache } = await sift.report();
      sift.dispose();
      const stock = await fork(generator, words.slice(0, 50), branches);
      await generator.dispose();
      const distance = (a: number[], b: number[]) =>
        a.length === b.length
          ? a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0)
          : Infinity;
      return {
        logits: Math.max(...ours.logits.map((row, i) => distance(row, stock.logits[i]!))),
        past: distance(ours.past, stock.past),
        rows: ours.past.length,
        cache,
      };
    }, someText());
    expect(result.rows).toBe(2 * 53 * 32);
    expect(result.past).toBeLessThan(1e-4);
    expect(result.logits).toBeLessThan(1e-4);
    expect(result.cache.copied).toBe(1);
  });

  test('beams and pipelines side by side are stock; GPU memory after 50 generations is that after one', async () => {
    const result = await session.page.evaluate(async (text) => {
      const { loadSmall, enableSift, encode, generate, generateBatch, countMemory, env } = window.sift;
      const generator = await loadSmall('small');
      const device = await (env.backends.onnx as { webgpu: { device: Promise<GPUDevice> } }).webgpu.device;
      const memory = countMemory(device);
      const ids = encode(generator, text);
      const sift = await enableSift(generator, { tau: 0 });
      const other = await loadSmall('small');
      const otherSift = await enableSift(other, { warmup: 2, siftFrom: 0 });
      const prompts = [ids.slice(0, 20), ids.slice(30, 50)];
      const beams = await generateBatch(generator, prompts, 4, { num_beams: 2 });
      const together = await Promise.all([
        generate(generator, ids.slice(0, 30), 5),
        generate(other, ids.slice(40, 70), 5),
      ]);
      const counts: number[] = [];
      for (let i = 0; i < 50; i++) {
        await generate(generator, ids.slice(i, i + 5), 2);
        counts.push(memory.bytes);
      }
      memory.stop();
      const report = await sift.report();
      sift.disable();
      const stockBeams = await generateBatch(generator, prompts, 4, { num_beams: 2 });
      const stock = await generate(generator, ids.slice(0, 30), 5);
      const otherAlone = await generate(other, ids.slice(40, 70), 5);
      sift.dispose();
      otherSift.dispose();
      await generator.dispose();
      await other.dispose();
      return { beams, stockBeams, together, stock, otherAlone, counts, cache: report.cache };
    }, someText());
    expect(result.beams).toEqual(result.stockBeams);
    expect(result.together).toEqual([result.stock, result.otherAlone]);
    expect(result.counts.at(-1)).toBe(result.counts[0]);
    expect(result.cache).toMatchObject({ freed: true, reasons: [] });
  });

  test("without memory the generation goes on in the runtime's own cache, and the report says why", async () => {
    const result = await session.page.evaluate(async (text) => {
      const { loadSmall, enableSift, encode, decodeForced, exhaustMemory, env } = window.sift;
      const generator = await loadSmall('small');
      const device = await (env.backends.onnx as { webgpu: { device: Promise<GPUDevice> } }).webgpu.device;
      const ids = encode(generator, text).slice(0, 252);
      const sift = await enableSift(generator, { tau: 0 });
      // The first cache, of 256 rows, fits; a longer one does not, neither of the usual 512 rows nor of those that must be.
      const restore = exhaustMemory(device, 257 * 2 * 32 * 4);
      const ours = await decodeForced(generator, ids, [], 8);
      restore();
      const { cache, steps } = await sift.report();
      sift.disable();
      const stock = await decodeForced(generator, ids, [], 8);
      sift.dispose();
      await generator.dispose();
      return { ours: ours.top, stock: stock.top, cache, steps };
    }, someText());
    expect(result.ours).toEqual(result.stock);
    expect(result.steps).toEqual({ sifted: 0, dense: 8 });
    expect(result.cache.steps).toBe(3 + 1 + 4);
    expect(result.cache.reasons[0]!.reason).toMatch(/KV cache of \d+ tokens/);
  });
});
