// npm run trust runs sequences of life, of which a failing one is made smaller, printed with its seed, and kept for CI.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../lab/root.ts';
import { type Counts, noCounts } from './command.ts';
import { Pages } from './pages.ts';
import { keepRegression, keepRuns, type Run, readResults } from './record.ts';
import { type Play, runSeed, type Stage } from './sequence.ts';
import { hubPlay } from './stage.ts';
import { enginePlay } from './web-llm/stage.ts';

const { values: options } = parseArgs({
  options: {
    runtime: { type: 'string', default: 'transformers.js' },
    /** The seed of the first sequence. */
    seed: { type: 'string', default: '1' },
    sequences: { type: 'string', default: '500' },
    /** Ends after so many minutes; another call with `--resume` goes on. */
    minutes: { type: 'string', default: 'Infinity' },
    /** What is expected comes from pages of its own: one without sift, one in which sift does a conversation alone. */
    apart: { type: 'boolean', default: false },
    /** Goes on after the last sequence in docs/trust.json that has this commit's versions and this adapter. */
    resume: { type: 'boolean', default: false },
  },
});
const { runtime } = options;
if (runtime !== 'transformers.js' && runtime !== 'web-llm')
  throw new Error(`--runtime is ${runtime}: it can be transformers.js or web-llm.`);
const number = (name: 'seed' | 'sequences' | 'minutes'): number => {
  const value = Number(options[name]);
  if (Number.isNaN(value) || value < 0)
    throw new Error(`--${name} is ${options[name]}: it must be a number.`);
  return value;
};

const versionOf = (name: string): string =>
  (JSON.parse(readFileSync(join(ROOT, `node_modules/${name}/package.json`), 'utf8')) as { version: string })
    .version;
const pages = await Pages.open();
const versions = {
  ...(runtime === 'web-llm'
    ? { 'web-llm': versionOf('@mlc-ai/web-llm') }
    : {
        'transformers.js': versionOf('@huggingface/transformers'),
        'onnxruntime-web': versionOf('onnxruntime-web'),
      }),
  'fast-check': versionOf('fast-check'),
  Chromium: pages.browserVersion,
};
const adapter = await pages.adapter();
const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();

const earlier = readResults()[runtime] ?? [];
const last = earlier.at(-1);
const resumed =
  options.resume && last?.adapter === adapter && JSON.stringify(last.versions) === JSON.stringify(versions)
    ? last
    : undefined;
const began = new Date();
const run: Run = resumed ?? {
  ...{ seed: number('seed'), sequences: 0, failed: [], counts: noCounts() },
  ...{ began: began.toISOString(), ended: began.toISOString(), minutes: 0, commit, versions, adapter },
};
const others = resumed ? earlier.slice(0, -1) : options.resume ? earlier : [];
const before = run.minutes;

type AnyPlay = Play<object, unknown, Stage<unknown> & { counts: Counts }>;
const play = (runtime === 'web-llm'
  ? enginePlay(pages)
  : hubPlay(pages, { apart: options.apart })) as unknown as AnyPlay;
play.stage.counts = run.counts;
for (;;) {
  const minutes = (Date.now() - began.getTime()) / 60_000;
  if (run.sequences >= number('sequences') || minutes >= number('minutes')) break;
  const seed = run.seed + run.sequences;
  const failure = await runSeed(play, seed);
  run.sequences++;
  run.ended = new Date().toISOString();
  run.minutes = before + (Date.now() - began.getTime()) / 60_000;
  if (failure) {
    run.failed.push(seed);
    keepRegression({ runtime, ...failure });
    console.error(
      `seed ${seed}: ${failure.error}\n${failure.actions.map((action) => JSON.stringify(action)).join('\n')}`,
    );
  }
  keepRuns(runtime, [...others, run]);
  const { actions, steps, ties } = run.counts;
  console.log(
    `${run.sequences} of ${options.sequences} (seed ${seed}), ${run.failed.length} failed; ${actions} actions, ${steps} steps compared, ${ties} ties; ${run.minutes.toFixed(1)} minutes`,
  );
}
await pages.close();
process.exit(run.failed.length > 0 ? 1 : 0);
