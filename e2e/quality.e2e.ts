// The quality gate: the embedded model under a learned and a given threshold, against the committed table; and broken kernels, which must
// not pass it. `npm run quality:gate` makes the table anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../lab/root.ts';
import { GATE_POLICIES, type GateRun, type GateTable, violations } from '../quality/gate.ts';
import { openPage, type Session } from './browser.ts';
import type { Mutation } from './page/mutations.ts';
import type {} from './page/quality.ts';
import { someText } from './text.ts';

const TABLE = join(ROOT, 'quality/results/gate.json');
const WRITE = process.env.SIFT_GATE === 'write';
const [LEARNED, GIVEN] = GATE_POLICIES;

let session: Session;
let table: GateTable;

const run = (policy: string, broken: Mutation | null = null): Promise<GateRun & { dispatches: number }> =>
  session.page.evaluate(([policy, broken]) => window.gate.run(policy, broken), [policy, broken] as const);

beforeAll(async () => {
  session = await openPage('/e2e/page/quality.html');
  session.page.setDefaultTimeout(0);
  await session.page.waitForFunction(() => 'openGate' in window);
  await session.page.evaluate((text) => window.openGate(text), someText());
  const stock = await session.page.evaluate(() => window.gate.stock());
  if (WRITE) table = { gpu: await session.page.evaluate(() => window.gate.gpu()), stock, policies: {} };
  else table = JSON.parse(readFileSync(TABLE, 'utf8'));
  expect(stock).toEqual(table.stock);
}, 1_800_000);
afterAll(async () => {
  await session?.close();
});

describe.each([
  [LEARNED, ['threshold times 100', 'group index off by one', 'threshold of another head']],
  [GIVEN, ['threshold times 100', 'group index off by one']],
] as [string, Mutation[]][])('%s', (policy, mutations) => {
  test('is what the table says', async () => {
    const { early, all } = await run(policy);
    if (WRITE) {
      table.policies[policy] = { early, all: all! };
      const text = JSON.stringify(table, (_, x) => (typeof x === 'number' ? Number(x.toPrecision(6)) : x), 1);
      writeFileSync(TABLE, `${text}\n`);
    }
    expect(violations({ early, all: all! }, table.policies[policy]!)).toEqual([]);
    // The gate is about sifting: rows are skipped.
    expect(all!.keptGroup).toBeLessThan(0.7);
  });

  test.each(mutations)('a kernel with %s does not pass', async (name) => {
    const broken = await run(policy, name);
    expect(broken.dispatches).toBeGreaterThan(0); // the kernels were found and broken
    const found = violations(broken, table.policies[policy]!);
    console.log(`${policy}, ${name}: ${found.join('; ')}`);
    expect(found).not.toEqual([]);
  });
});
