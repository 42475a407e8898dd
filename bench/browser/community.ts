import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { markdownTable } from '../../lab/markdown.ts';
import { type BrowserBench, parseBench } from './format.ts';
import { adapterName, browserName } from './table.ts';

/** Results of other people's machines. */
export const COMMUNITY = 'bench/results/community';

/** What cannot be right in results, although they have the form of some; undefined if nothing was found. */
export function implausible({ adapter, rows, models }: BrowserBench): string | undefined {
  if (rows.length === 0) return 'there are no rows';
  if (adapter.software) return 'they are those of a software adapter';
  const names = new Set(models.map(({ name }) => name));
  const strange = rows.find((row) => !names.has(row.model));
  if (strange) return `rows are about the model "${strange.model}", which is not among the models`;
  const odd = rows.find(
    ({ turns, msMedian }) => msMedian < Math.min(...turns) || msMedian > Math.max(...turns),
  );
  if (odd) return `the median of ${odd.model} at ${odd.context} (${odd.variant}) is not within its turns`;
  const twice = rows.find((row, i) =>
    rows.some(
      (other, j) =>
        j < i && other.model === row.model && other.context === row.context && other.variant === row.variant,
    ),
  );
  if (twice) return `${twice.model} at ${twice.context} (${twice.variant}) is there twice`;
  return undefined;
}

/** The table of all machines: milliseconds a token, stock and with the plugin, at each length. */
export function communityTable(all: readonly BrowserBench[]): string {
  const cells = all.flatMap((results) =>
    results.rows
      .filter(({ variant }) => variant === 'default')
      .flatMap((row) => {
        const stock = results.rows.find(
          ({ variant, model, context }) =>
            variant === 'stock' && model === row.model && context === row.context,
        );
        if (!stock) return [];
        return [
          [
            adapterName(results),
            browserName(results),
            row.model,
            row.context.toLocaleString('en'),
            stock.msMedian.toFixed(1),
            row.msMedian.toFixed(1),
            (stock.msMedian / row.msMedian).toFixed(2),
            `${results.version}, ${results.date.slice(0, 10)}`,
          ],
        ];
      }),
  );
  const head = ['GPU', 'browser', 'model', 'context', 'stock, ms', 'sift, ms', 'times', 'version'];
  return markdownTable(head, cells);
}

/**
 * Checks a file, copies it to the others, and makes their table anew.
 *
 * @returns where it was copied to
 * @throws {Error} that says what is wrong with the file
 */
export function addCommunity(file: string, folder = COMMUNITY): string {
  const results = parseBench(readFileSync(file, 'utf8'));
  const reason = implausible(results);
  if (reason !== undefined) throw new Error(`The results are not taken, because ${reason}.`);
  mkdirSync(folder, { recursive: true });
  const name = `${adapterName(results)} ${results.date.slice(0, 10)}`
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-');
  const path = join(folder, `${name}.json`);
  writeFileSync(path, `${JSON.stringify(results, null, 1)}\n`);
  const all = readdirSync(folder)
    .filter((each) => each.endsWith('.json'))
    .sort()
    .map((each) => parseBench(readFileSync(join(folder, each), 'utf8')));
  writeFileSync(
    join(folder, 'README.md'),
    `# Figures of other machines\n\nThese figures came in from the page of [examples/bench](../../../examples/bench), which anybody can run. Nobody of the project has checked them on the machines. \`npm run bench:browser -- --community FILE\` checks a file and adds it.\n\n${communityTable(all)}\n`,
  );
  return path;
}
