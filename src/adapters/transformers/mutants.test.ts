// Thousands of mutants of the runtime's programs: whatever is read of one is what it means, or it is left alone
// (src/testing/onnxruntime/mutants says what is changed, and what is known of each change).
import { beforeAll, describe, expect, test } from 'vitest';
import { onnxruntimeWeb } from '../../../patches/onnxruntime-web.ts';
import { defineWebGpuGlobals } from '../../testing/fake-device.ts';
import { MutantHost, type Reading } from '../../testing/onnxruntime/mutants/host.ts';
import { difference, drawMutant, type Mutant } from '../../testing/onnxruntime/mutants/mutant.ts';
import type { ProgramPattern, RuntimePatch } from './patch.ts';

/** Some are the same text with other values; more than 5,000 are not. */
const MUTANTS = 7000;

/** Milliseconds after which a test is taken to hang. */
const PATIENCE = 120_000;

beforeAll(defineWebGpuGlobals);

const SHAPE_FIELDS = ['queryHeads', 'kvHeads', 'headSize', 'dtype'] as const;

/** Where a reading is not the truth. */
function errors(read: Reading, truth: Reading): string[] {
  const plain = (value: unknown) => {
    const binding = value as GPUBufferBinding | undefined;
    return binding?.buffer ? [binding.buffer, binding.offset ?? 0] : [value];
  };
  return (Object.keys(truth) as (keyof Reading)[]).filter((name) => {
    if (name === 'shape') return SHAPE_FIELDS.some((field) => read.shape[field] !== truth.shape[field]);
    const [got, want] = [plain(read[name]), plain(truth[name])];
    return got[0] !== want[0] || got[1] !== want[1];
  });
}

/** Forms of WGSL that no runtime writes and that are not understood: such a program is left alone. */
const NOT_UNDERSTOOD =
  /attributes in another form \((?:comma|hexadecimal|sum|constant|apart)\)|aliases \(index_t\)/;

interface Tally {
  /** Texts with their labels. */
  programs: Set<string>;
  recognised: number;
  refused: number;
  /** Left to the comparison with the runtime's own attention. */
  hidden: number;
  /** Read otherwise than they mean, each with its seed, its changes and its lines. */
  escapes: string[];
  /** Left alone although they mean what the program meant, in a form that should be understood. */
  lost: string[];
}

function judge(mutant: Mutant, patch: RuntimePatch, tally: Tally): void {
  const host = new MutantHost(patch, mutant);
  const read = host.read();
  const { truth, changes, seed, draft, after } = mutant;
  const note = (what: string) => `seed ${seed}: ${changes.join(', ')}: ${what}\n${difference(mutant)}\n`;
  tally.programs.add(`${draft.program.label} ${after}`);
  if (typeof read === 'string') {
    tally.refused++;
    if (truth === 'same' && !NOT_UNDERSTOOD.test(changes.join())) tally.lost.push(note(read));
  } else if (truth === 'hidden') {
    tally.hidden++;
  } else {
    const wrong = truth === 'refused' ? ['accepted'] : errors(read, host.truth());
    if (wrong.length === 0) tally.recognised++;
    else tally.escapes.push(note(wrong.join(', ')));
  }
}

function judgeAll(mutants: number, patch: RuntimePatch): Tally {
  const tally: Tally = {
    programs: new Set(),
    recognised: 0,
    refused: 0,
    hidden: 0,
    escapes: [],
    lost: [],
  };
  for (let seed = 1; seed <= mutants; seed++) judge(drawMutant(seed), patch, tally);
  return tally;
}

describe('mutants of the runtime', () => {
  test(
    'each is recognised rightly, refused, or left to the comparison',
    () => {
      const { programs, recognised, refused, hidden, escapes, lost } = judgeAll(MUTANTS, onnxruntimeWeb);
      console.log(
        `${MUTANTS} mutants of ${programs.size} texts: ${recognised} recognised, ${refused} refused, ${hidden} left to the comparison, ${escapes.length} escaped.`,
      );
      expect(escapes.join('\n')).toBe('');
      expect(lost.join('\n')).toBe('');
      expect(programs.size).toBeGreaterThan(5000);
    },
    PATIENCE,
  );

  const unknown = { type: 'array<f32>', access: 'read', optional: true } as const;
  test.each<[string, (program: ProgramPattern) => Partial<ProgramPattern>, string]>([
    [
      'buffers that nobody knows',
      ({ bindings }) => ({
        bindings: { ...bindings, mystery: unknown, attention_bias: unknown, k_scale: unknown },
      }),
      'a buffer added',
    ],
    ['soft caps', () => ({ forbidden: [] }), 'tanh'],
    [
      'windows by another name',
      ({ optionalUniforms }) => ({ optionalUniforms: { ...optionalUniforms, attention_span: 'u32' } }),
      'attention_span',
    ],
  ])(
    'a patch that let %s pass would be found out',
    (_, weaken, word) => {
      const programs = onnxruntimeWeb.programs.map((program) => ({ ...program, ...weaken(program) }));
      const { escapes } = judgeAll(1000, { ...onnxruntimeWeb, programs });
      expect(escapes.join('\n')).toContain(word);
    },
    PATIENCE,
  );
});
