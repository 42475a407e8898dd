// npm run docs:readme: the table of the README, which lies between markers, from the results of the benchmark.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../lab/root.ts';
import { fillMarkers } from '../../quality/report/tables.ts';
import { siteTables } from './tables.ts';

const README = join(ROOT, 'README.md');

/** The README with its table as the results have it. */
export const filledReadme = (): string => fillMarkers(readFileSync(README, 'utf8'), siteTables());

if (process.argv[1]?.endsWith('readme.ts')) writeFileSync(README, filledReadme());
