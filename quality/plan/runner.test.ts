import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Evaluator } from '../evaluation/evaluator.ts';
import type { SequenceFigures } from '../evaluation/figures.ts';
import { parseResults, type QualityResults, writeResults } from '../report/results.ts';
import { measuredTable } from '../report/tables.ts';
import { markdown, measure, type Plan, shardOf, tabulate } from './runner.ts';
import { partPath, Store, shardPaths } from './store.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sift-quality-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const plan: Plan = {
  policies: ['paper:0.5', 'uniform:1'],
  sequences: [
    { half: 'first', start: 0, tokens: [1, 2, 3] },
    { half: 'second', start: 9, tokens: [4, 5, 6] },
  ],
  options: { prompt: 1, steps: 1, warmup: 0 },
  tasks: [{ name: 'recall:1024', items: [] }],
};

/** An evaluator that notes what is asked of it, and fails at the call of a number. */
class FakeEvaluator {
  calls: string[] = [];
  constructor(private readonly failAt = Number.POSITIVE_INFINITY) {}

  private note(call: string): void {
    if (this.calls.length + 1 === this.failAt) throw new Error('killed');
    this.calls.push(call);
  }

  private figures(kl: number, kept: number | null): SequenceFigures {
    return {
      nll: [1, 2],
      kl: [kl, 3 * kl],
      same: [1, kl ? 0 : 1],
      sift:
        kept === null
          ? null
          : {
              keptHead: kept / 2,
              keptGroup: kept,
              keptMass: 0.9,
              leastMass: 0.8,
              guarded: 0,
              drift: [kept, kept, kept, 2 * kept],
              heads: [[kept / 2, kept / 2]],
              groups: [[kept]],
              bytes: { keysRead: 10, valuesRead: 4, valuesSaved: 6 },
              status: { fitted: 2 },
            },
    };
  }

  async exact(tokens: number[]): Promise<SequenceFigures> {
    this.note(`exact ${tokens[0]}`);
    return this.figures(0, null);
  }

  async policy(tokens: number[], policy: string): Promise<SequenceFigures> {
    this.note(`${policy} ${tokens[0]}`);
    return this.figures(0.1 * tokens[0]!, 0.25);
  }

  async task(_items: unknown, policy: string | null): Promise<boolean[][][]> {
    this.note(`task ${policy}`);
    return [[[true, true]], [[true, policy === null]]];
  }
}

const runOf = async (evaluator: FakeEvaluator, settings: unknown = { prompt: 1 }): Promise<Store> => {
  const store = new Store(join(folder, 'run.part'), settings);
  await measure(evaluator as unknown as Evaluator, plan, store, () => {});
  return store;
};

describe('a run that was interrupted', () => {
  test('goes on where it was, wherever that was, and gives the same table', async () => {
    const whole = new FakeEvaluator();
    const expected = tabulate(plan, await runOf(whole));
    expect(whole.calls).toEqual([
      ...['exact 1', 'paper:0.5 1', 'uniform:1 1', 'exact 4', 'paper:0.5 4', 'uniform:1 4'],
      ...['task null', 'task paper:0.5', 'task uniform:1'],
    ]);
    for (let failAt = 1; failAt <= whole.calls.length; failAt++) {
      rmSync(join(folder, 'run.part'), { force: true });
      await expect(runOf(new FakeEvaluator(failAt))).rejects.toThrow('killed');
      const second = new FakeEvaluator();
      const store = await runOf(second);
      expect(tabulate(plan, store)).toEqual(expected);
      // What was measured is not measured again, but for the exact run of the sequence that was under way.
      const repeated = whole.calls.slice(0, failAt - 1).filter((call) => second.calls.includes(call));
      expect(repeated.every((call) => call.startsWith('exact'))).toBe(true);
      expect(repeated.length).toBeLessThanOrEqual(1);
    }
  });

  test('does not take over what was measured with other settings, nor a file that is none of ours', async () => {
    await runOf(new FakeEvaluator());
    const other = new Store(join(folder, 'run.part'), { prompt: 2 });
    expect(other).toMatchObject({ resumed: 0, otherSettings: true });
    writeFileSync(join(folder, 'run.part'), '{"settings":{"prompt":1},"do');
    expect(new Store(join(folder, 'run.part'), { prompt: 1 }).resumed).toBe(0);
  });

  test('in shares side by side: each unit is measured once, and the table is that of one run', async () => {
    const base = join(folder, 'out.json');
    const settings = { prompt: 1 };
    const expected = tabulate(plan, await runOf(new FakeEvaluator()));
    const calls: string[] = [];
    for (let index = 1; index <= 2; index++) {
      const shard = { index, count: 2 };
      const evaluator = new FakeEvaluator();
      const store = new Store(partPath(base, shard), settings);
      await measure(evaluator as unknown as Evaluator, shardOf(plan, shard), store, () => {});
      calls.push(...evaluator.calls);
    }
    expect(calls).toHaveLength(9);
    expect(new Set(calls).size).toBe(9);
    writeFileSync(partPath(`${base}x`, { index: 1, count: 1 }), '{}'); // of another run
    expect(shardPaths(base)).toHaveLength(2);
    const whole = new FakeEvaluator();
    const store = new Store(partPath(base), settings, shardPaths(base));
    await measure(whole as unknown as Evaluator, plan, store, () => {});
    expect(whole.calls).toEqual([]);
    expect(tabulate(plan, store)).toEqual(expected);
    store.remove();
    expect(shardPaths(base)).toEqual([]);
  });

  test('is forgotten when it is over', async () => {
    const store = await runOf(new FakeEvaluator());
    store.remove();
    expect(existsSync(join(folder, 'run.part'))).toBe(false);
  });
});

test('the table has both halves, drift and exact scores; its file is read as it was written', async () => {
  const rows = tabulate(plan, await runOf(new FakeEvaluator()));
  const [exact, paper] = rows;
  expect(exact).toMatchObject({ policy: 'exact', klMean: 0, top1: 1, keptGroup: null, recall: 0.5 * 2 });
  expect(paper).toMatchObject({
    keptGroup: 0.25,
    savedV: 0.75,
    savedKv: 0.375,
    driftChange: 1,
    recall: 0.5,
    recallStock: 1,
    bytes: { keysRead: 20, valuesRead: 8, valuesSaved: 12 },
    tasks: { 'recall:1024': { asked: 2, stock: 2, exact: 1, agree: 1, tokens: 0.75, tokensStock: 1 } },
  });
  expect(paper!.klMean).toBeCloseTo((0.1 + 0.3 + 0.4 + 1.2) / 4);
  expect(paper!.first!.klMean).toBeCloseTo(0.2);
  expect(paper!.second!.klMean).toBeCloseTo(0.8);
  const results: QualityResults = {
    ...{ model: 'tiny', dtype: 'q4', machine: 'browser', gpu: 'x', half: 'all', starts: [0, 9] },
    ...{ prompt: 1, steps: 1, warmup: 0, text: { name: 'text', documents: 2, tokens: 9 }, results: rows },
  };
  expect(parseResults(writeResults(results)).results.map(({ policy }) => policy)).toEqual([
    'exact',
    'paper:0.5',
    'uniform:1',
  ]);
  expect(() => parseResults(writeResults(results).replace('"top1":1', '"top1":2'))).toThrow();
  expect(markdown(rows)).toContain('| paper:0.5 |');
});

test('tasks alone: what only sequences give is null, in the file and in the table', async () => {
  const alone: Plan = { ...plan, sequences: [] };
  const store = new Store(join(folder, 'run.part'), {});
  await measure(new FakeEvaluator() as unknown as Evaluator, alone, store, () => {});
  const results: QualityResults = {
    ...{ model: 'tiny', dtype: 'q4', machine: 'browser', gpu: 'x', half: 'all', starts: [] },
    ...{ prompt: 1, steps: 1, warmup: 0, text: { name: 'text', documents: 2, tokens: 9 } },
    results: tabulate(alone, store),
  };
  const [, paper] = parseResults(writeResults(results)).results;
  expect(paper).toMatchObject({ sequences: 0, ppl: null, klMean: null, top1: null, recall: 0.5 });
  expect(markdown(results.results)).toContain('| paper:0.5 | – |');
  expect(measuredTable(results)).toContain('| paper:0.5 | – |');
});
