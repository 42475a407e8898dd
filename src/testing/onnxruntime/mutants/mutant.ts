import type { AttentionShape } from '../../../kernel/shape.ts';
import { createRandom, type Random } from '../../../oracle/index.ts';
import { attentionPrograms, copyProgram, type ProgramOptions, TILE } from '../attention-programs.ts';
import { type StandInProgram, textOf } from '../program.ts';
import { type Change, copyOf, type Draft, draftText, pick, type Truth } from './draft.ts';
import { HIDDEN } from './hidden.ts';
import { REFUSED } from './refused.ts';
import { SAME } from './same.ts';

/** An attention of which one program was changed. */
export interface Mutant {
  seed: number;
  truth: Truth;
  /** The changes, each with what exactly it was. The last one decides the truth. */
  changes: string[];
  shape: AttentionShape;
  /** `CopyKVCache`, then the programs of the attention. */
  programs: readonly StandInProgram[];
  /** The place of the changed program. */
  place: number;
  draft: Draft;
  /** The text before and after. */
  before: string;
  after: string;
}

const LENGTHS = [1, 2, 45, 64, 65, 150, 1100];

function drawOptions(random: Random): ProgramOptions {
  const dtype = pick(random, ['f32', 'f16'] as const);
  if (random.integer(3) === 0) return { dtype, form: 'three' };
  const flag = () => random.integer(2) === 0;
  return { dtype, form: 'two', seqlens: flag(), window: flag(), sinks: random.integer(4) === 0 };
}

/** The values of the uniforms by their roles. */
function drawValues(random: Random, { queryHeads, kvHeads, headSize }: AttentionShape, windowed: boolean) {
  const length = pick(random, LENGTHS);
  const capacity = length + pick(random, [0, 1, 60]);
  const windows = [0, 1, Math.max(1, length - 1), length, 64, 1024];
  return {
    head_size_vec: headSize / 4,
    total_sequence_length: length,
    alpha: Math.fround(pick(random, [1, 0.5, 0.125, 1 / Math.sqrt(headSize)])),
    present_sequence_length: capacity,
    n_reps: queryHeads / kvHeads,
    num_present_sequence_length_tile: Math.ceil(capacity / TILE),
    num_total_seq_length_tile: Math.ceil(length / TILE),
    num_head_size_tile: Math.ceil(headSize / 64),
    num_heads: queryHeads,
    batch_size: pick(random, [1, 1, 1, 2]),
    batch_heads: queryHeads,
    attn_bias_dim0: random.integer(2),
    attn_bias_dim1: random.integer(2),
    attn_bias_dim3: random.integer(2),
    new_sequence_length: 1,
    local_window_size: windowed ? pick(random, windows) : 0,
    past_sequence_length: length - 1,
    past_capacity: capacity,
    kv_rows: kvHeads,
  };
}

/** Makes one change of a list, another if there is nothing that the first could change. */
function make(changes: readonly Change[], draft: Draft): string {
  for (;;) {
    const change = pick(draft.random, changes);
    const detail = change.apply(draft);
    if (detail !== undefined) return detail === '' ? change.name : `${change.name} (${detail})`;
  }
}

/** Draws a mutant. The same seed gives the same. */
export function drawMutant(seed: number): Mutant {
  const random = createRandom(seed);
  const options = drawOptions(random);
  const { dtype } = options;
  const kvHeads = pick(random, [1, 2, 4]);
  const queryHeads = kvHeads * pick(random, [1, 2, 3, 8]);
  const shape = { queryHeads, kvHeads, headSize: pick(random, [8, 64, 80, 128]), dtype };
  const programs = [copyProgram(options), ...attentionPrograms(options)];
  // The first program of the attention tells most.
  const place = pick(random, [1, 1, 1, ...programs.keys()]);
  const original = programs[place]!;
  const draft: Draft = {
    random,
    program: copyOf(original),
    values: drawValues(random, shape, options.window === true),
    declarations: [],
    texts: [],
    host: {},
  };
  const changes = Array.from({ length: random.integer(3) }, () => make(SAME, draft));
  const [list, truth] = pick(random, [
    [SAME, 'same'],
    [SAME, 'same'],
    [REFUSED, 'refused'],
    [REFUSED, 'refused'],
    [HIDDEN, 'hidden'],
  ] as const);
  changes.push(make(list, draft));
  const changed = programs.map((program, i) => (i === place ? draft.program : program));
  const before = textOf(original);
  return { seed, truth, changes, shape, programs: changed, place, draft, before, after: draftText(draft) };
}

/** A mutant's changed lines, for the log. */
export function difference({ before, after }: Pick<Mutant, 'before' | 'after'>): string {
  const lines = (text: string) => text.split('\n');
  const [old, now] = [lines(before), lines(after)];
  return [
    ...old.filter((line) => !now.includes(line)).map((line) => `- ${line}`),
    ...now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
  ].join('\n');
}
