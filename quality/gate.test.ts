import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { GATE_POLICIES, type GateRun, type GateTable, violations } from './gate.ts';

const figures = {
  kl: 0.01,
  keptGroup: 0.3,
  heads: [
    [0.2, 0.1],
    [0.3, 0.4],
  ],
};
const want: Required<GateRun> = { early: figures, all: { ...figures, recalled: 5, asked: 5 } };

test('the table passes its own gate; what is off in either direction does not', () => {
  expect(violations(want, want)).toEqual([]);
  expect(violations({ early: figures }, want)).toEqual([]);
  for (const wrong of [
    { kl: 0.02 },
    { kl: 0.001 },
    { kl: Number.NaN },
    { keptGroup: 0.33 },
    {
      heads: [
        [0.2, 0.1],
        [0.3, 0.44],
      ],
    },
    { heads: [] },
  ])
    expect(violations({ early: { ...figures, ...wrong } }, want)).toHaveLength(1);
  expect(violations({ ...want, all: { ...want.all, recalled: 4 } }, want)).toHaveLength(1);
});

test('the committed table has every policy of the gate', () => {
  const table = JSON.parse(readFileSync('quality/results/gate.json', 'utf8')) as GateTable;
  expect(Object.keys(table.policies)).toEqual([...GATE_POLICIES]);
  expect(table.stock.recalled).toBe(table.stock.asked);
});
