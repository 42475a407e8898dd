// The quality gate: the embedded model under a learned and a given threshold, against the committed table; and broken kernels, which must
// not pass it. `npm run quality:gate` makes the table anew. With SIFT_GPU=1 it runs on the GPU and measures the presets, too, and with
// SIFT_GATE_F16=DIR in half precision, on the embedded model as q4f16 in that folder; each has a table of its own.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../lab/root.ts';
import {
  GATE_POLICIES,
  type GateDtype,
  type GateRun,
  type GateTable,
  GPU_POLICIES,
  violations,
} from '../quality/gate.ts';
import { openPage, type Session } from './browser.ts';
import type { Mutation } from './page/mutations.ts';
import type {} from './page/quality.ts';
import { someText } from './text.ts';

const GPU = process.env.SIFT_GPU === '1';
const HALF = process.env.SIFT_GATE_F16;
const DTYPE: GateDtype = HALF ? 'q4f16' : 'q4';
const NAME = ['gate', ...(GPU ? ['gpu'] : []), ...(HALF ? ['f16'] : [])].join('-');
const TABLE = join(ROOT, `quality/results/${NAME}.json`);
const WRITE = process.env.SIFT_GATE === 'write';
const [LEARNED, GIVEN] = GATE_POLICIES;

let session: Session;
let table: GateTable;

const run = (policy: string, broken: Mutation | null = null): Promise<GateRun & { dispatches: number }> =>
  session.page.evaluate(([policy, broken]) => window.gate.run(policy, broken), [policy, broken] as const);

/** The files of a model's folder by path. */
const filesOf = (folder: string): Record<string, Uint8Array> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(join(folder, '/').length), readFileSync(path)]),
  );

beforeAll(async () => {
  session = await openPage('/e2e/page/quality.html', undefined, HALF ? { half: filesOf(HALF) } : {});
  session.page.setDefaultTimeout(0);
  await session.page.waitForFunction(() => 'openGate' in window);
  const model = { name: HALF ? 'half' : 'tiny', dtype: DTYPE };
  await session.page.evaluate(([text, model]) => window.openGate(text, model), [someText(), model] as const);
  const stock = await session.page.evaluate(() => window.gate.stock());
  const gpu = await session.page.evaluate(() => window.gate.gpu());
  // A browser that finds no GPU takes the software adapter, and says nothing.
  if (GPU) expect(gpu).not.toContain('swiftshader');
  if (!WRITE && !existsSync(TABLE)) throw new Error(`${TABLE} is not there; SIFT_GATE=write makes it.`);
  table = WRITE ? { gpu, stock, policies: {} } : JSON.parse(readFileSync(TABLE, 'utf8'));
  expect(stock).toEqual(table.stock);
}, 1_800_000);
afterAll(async () => {
  await session?.close();
});

describe.each([
  [LEARNED, ['threshold times 100', 'group index off by one', 'threshold of another head']],
  [GIVEN, ['threshold times 100', 'group index off by one']],
  ...(GPU ? GPU_POLICIES.map((policy) => [policy, []]) : []),
] as [string, Mutation[]][])('%s', (policy, mutations) => {
  test('is what the table says', async () => {
    const { early, all } = await run(policy);
    if (WRITE) {
      table.policies[policy] = { early, all: all! };
      const text = JSON.stringify(table, (_, x) => (typeof x === 'number' ? Number(x.toPrecision(6)) : x), 1);
      writeFileSync(TABLE, `${text}\n`);
    }
    expect(violations({ early, all: all! }, table.policies[policy]!, DTYPE)).toEqual([]);
    // The gate is about sifting: rows are skipped.
    if (policy === 'preset:exact') expect(all!.keptGroup).toBe(1);
    else expect(all!.keptGroup).toBeLessThan(0.7);
  });

  test.each(mutations)('a kernel with %s does not pass', async (name) => {
    const broken = await run(policy, name);
    expect(broken.dispatches).toBeGreaterThan(0); // the kernels were found and broken
    const found = violations(broken, table.policies[policy]!, DTYPE);
    console.log(`${policy}, ${name}: ${found.join('; ')}`);
    expect(found).not.toEqual([]);
  });
});
