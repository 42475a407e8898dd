// What `sift.inspect` tells of the steps of a real generation.
import { expect, test } from 'vitest';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { pluginPage } from './plugin-page.ts';

const session = pluginPage('', { plain: smallDecoder() });
const NEW_TOKENS = 8;
const PROMPT = 400;

test('which V rows each step read; nothing before, and nothing after', async () => {
  const found = await session.page.evaluate(
    async ([prompt, count]) => {
      const { loadSmall, enableSift, failure, generate } = window.sift;
      const generator = await loadSmall('plain');
      const ids = Array.from({ length: prompt! }, (_, i) => 30 + ((i * 7) % 60));
      const sift = await enableSift(generator, { siftFrom: 0 });
      const labels: string[] = [];
      const { createBuffer } = GPUDevice.prototype;
      GPUDevice.prototype.createBuffer = function (descriptor) {
        labels.push(descriptor.label ?? '');
        return createBuffer.call(this, descriptor);
      };
      const before = await generate(generator, ids, count!);
      const unasked = labels.filter((label) => /read bits|inspection/.test(label)).length;
      const told: { step: number; length: number; layers: number[]; problems: string[]; read: number }[] = [];
      const stop = await sift.inspect(({ step, length, layers }) => {
        const problems: string[] = [];
        let read = 0;
        for (const { layer, firstKey, keys, sifted, heads, valuesRead, valuesDense } of layers) {
          const rows = heads.reduce((sum, head) => sum + head.rows, 0);
          read += valuesRead / valuesDense / layers.length;
          if (firstKey !== 0 || keys !== length || !sifted) problems.push(`layer ${layer}: ${keys} keys`);
          if (Math.abs(valuesRead / valuesDense - rows / (keys * heads.length)) > 1e-9)
            problems.push('bytes');
          for (const { bits, rows, kvHead } of heads) {
            const bit = (key: number) => (bits[key >>> 5]! >>> (key & 31)) & 1;
            const all = Array.from({ length: 32 * bits.length }, (_, key) => bit(key));
            if (all.reduce((sum, one) => sum + one, 0) !== rows) problems.push(`head ${kvHead}: rows`);
            if (!bit(keys - 1)) problems.push('the newest row is always read');
            if (all.slice(keys).includes(1)) problems.push('bits behind the keys');
          }
        }
        told.push({ step, length, layers: layers.map(({ layer }) => layer), problems, read });
      });
      const during = await generate(generator, ids, count!);
      const { keptGroup } = await sift.report();
      stop();
      const calls = told.length;
      const only: number[][] = [];
      const stopOne = await sift.inspect(({ layers }) => only.push(layers.map(({ layer }) => layer)), {
        layers: [1],
      });
      const after = await generate(generator, ids, count!);
      stopOne();
      GPUDevice.prototype.createBuffer = createBuffer;
      const wrong = [
        await failure(() => sift.inspect('no' as never)),
        await failure(() => sift.inspect(() => {}, { layers: [9] })),
        await failure(() => sift.inspect(() => {}, { layer: [0] } as never)),
      ].map(({ code, message }) => `${code} ${message}`);
      sift.dispose();
      const gone = (await failure(() => sift.inspect(() => {}))).code;
      await generator.dispose();
      const same = [during, after].every((tokens) => String(tokens) === String(before));
      return { same, unasked, told, calls, afterwards: told.length, only, keptGroup, wrong, gone };
    },
    [PROMPT, NEW_TOKENS],
  );
  expect(found.same).toBe(true);
  expect(found.unasked).toBe(0);
  // Steps during which bits are on their way are not told of.
  expect(found.calls).toBeGreaterThan(0);
  expect(found.afterwards).toBe(found.calls);
  expect(found.told.flatMap(({ problems }) => problems)).toEqual([]);
  for (const { step, length, layers, read } of found.told) {
    expect(length).toBe(PROMPT + step);
    expect(layers).toEqual([0, 1]);
    // What is read does not change much from step to step.
    expect(Math.abs(read - found.keptGroup!)).toBeLessThan(0.1);
  }
  expect(new Set(found.only.map(String))).toEqual(new Set(['1']));
  expect(found.wrong).toEqual([
    expect.stringMatching(/^INVALID_OPTION .*`listener`/),
    expect.stringMatching(/^INVALID_OPTION .*`layers`.*0, 1/),
    expect.stringMatching(/^INVALID_OPTION .*`layer`.*`layers`/),
  ]);
  expect(found.gone).toBe('DISPOSED');
});
