import { createRandom } from '../../../oracle/index.ts';
import { attentionPrograms, type ProgramOptions } from '../attention-programs.ts';
import { type StandInProgram, textOf } from '../program.ts';
import { copyOf, type Draft, pick } from './draft.ts';
import { HIDDEN } from './hidden.ts';

/** An attention that computes something else in one program, or seems to. */
export interface BodyMutant {
  seed: number;
  /** What was changed, with the label of the program. */
  change: string;
  options: ProgramOptions;
  programs: StandInProgram[];
}

/** The options that the programs are written with, in turn. */
const OPTIONS: readonly ProgramOptions[] = [
  { dtype: 'f32', form: 'two', window: true },
  { dtype: 'f32', form: 'two', seqlens: false },
  { dtype: 'f32', form: 'three' },
];

function draw(seed: number): BodyMutant | undefined {
  const random = createRandom(seed);
  const options = OPTIONS[seed % OPTIONS.length]!;
  const programs = attentionPrograms(options);
  const place = random.integer(programs.length);
  const program = copyOf(programs[place]!);
  const draft: Draft = { random, program, values: {}, declarations: [], texts: [], host: {} };
  const { name, apply } = pick(random, HIDDEN);
  const detail = apply(draft);
  if (detail === undefined) return undefined;
  programs[place] = program;
  return { seed, change: `${program.label}: ${name} (${detail})`, options, programs };
}

/** Draws mutants whose texts all differ, from a first seed on. */
export function drawBodyMutants(count: number, firstSeed = 1): BodyMutant[] {
  const mutants = new Map<string, BodyMutant>();
  for (let seed = firstSeed; mutants.size < count; seed++) {
    const mutant = draw(seed);
    if (!mutant) continue;
    const key = mutant.programs.map((program) => textOf(program)).join('\n');
    if (!mutants.has(key)) mutants.set(key, mutant);
  }
  return [...mutants.values()];
}
