// Conversations that break what sifting supposes, on the tiny model in Node, by night (`SIFT_NIGHTLY=1`): they are as close to exact attention
// as the committed figures say.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../lab/root.ts';
import { parseConversations } from '../quality/conversations/results.ts';
import { measureConversations } from '../quality/conversations/run.ts';
import { openNodeEvaluator } from '../quality/evaluation/node.ts';
import { findSoftwareDriver } from '../tools/setup/software-driver.ts';

const POLICY = 'preset:balanced';
/** A factor of KL, and points of the V rows read: what arithmetic on another device may change. */
const BOUNDS = { kl: 1.2, keptGroup: 0.01 } as const;

test.skipIf(process.env.SIFT_NIGHTLY !== '1')(
  'conversations that are made to break it stay within the committed figures',
  async () => {
    process.env.VK_DRIVER_FILES ??= findSoftwareDriver();
    const committed = parseConversations(
      readFileSync(join(ROOT, 'quality/results/conversations-tiny.json'), 'utf8'),
    ).rows.filter(({ policy }) => policy === POLICY);
    const { evaluator, close } = await openNodeEvaluator(join(ROOT, 'models/tiny'), 'q4', console.log);
    const done = new Map<string, unknown>();
    const store = { get: <T>(key: string) => done.get(key) as T, set: done.set.bind(done) };
    const options = {
      text: join(ROOT, 'models/text/excerpt.txt'),
      code: join(ROOT, 'src/kernel/calibration/calibrate.ts'),
      foreign: join(ROOT, 'quality/conversations/german.txt'),
      ...{ prompt: 128, steps: 16, long: 32, policies: [POLICY], minutes: Number.POSITIVE_INFINITY },
      conversations: committed.map(({ conversation }) => conversation),
    };
    const rows = await measureConversations(evaluator, options, 'tiny', store, console.log);
    await close();
    const found = rows
      .filter(({ policy }) => policy === POLICY)
      .flatMap((row) => {
        const want = committed.find(({ conversation }) => conversation === row.conversation)!;
        const ratio = row.klMean / want.klMean;
        const off = Math.abs(row.keptGroup! - want.keptGroup!);
        return [
          ...(ratio <= BOUNDS.kl && ratio >= 1 / BOUNDS.kl
            ? []
            : [`${row.conversation}: KL ${row.klMean}, ${want.klMean} is committed`]),
          ...(off <= BOUNDS.keptGroup
            ? []
            : [`${row.conversation}: ${row.keptGroup} of the V rows, ${want.keptGroup} is committed`]),
        ];
      });
    expect(found).toEqual([]);
    expect(rows).toHaveLength(2 * committed.length); // stock's, and the policy's
  },
);
