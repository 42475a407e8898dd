import { parseArgs } from 'node:util';
import type { LengthPlan, ModelPlan } from '../../examples/bench/src/measure/plan.ts';
import type { VariantName } from '../../examples/bench/src/measure/variants.ts';

export const USAGE = `npm run bench:browser -- [options]
The whole decode step in a headless browser, through the pipeline of transformers.js, as a user has it: on the software adapter, or with
SIFT_GPU=1 on the GPU. Models have real shapes and random weights, which are made on the spot.
  --models NAME,...     small, qwen3-0.6b, llama-3.2-1b, embedded (default: small; on the GPU qwen3-0.6b and llama-3.2-1b)
  --dtype NAME          q4 or q4f16 (default: q4; on the GPU q4f16)
  --lengths N,...       tokens in the context. N is a prompt, and Np a past of random keys and values that is given
                        and either may end in xT, the number of turns (512,1024; on the GPU 512,2048,8192,32768p,65536p,131072p)
  --variants NAME,...   stock, default, exact, "default, stock cache", "exact, stock cache", high, "default, always sifting", shadow
                        (stock,default,exact): separated by semicolons where a name has a comma
  --turns N             times that each variant is measured, in alternating order (5; without a GPU 2)
  --warm N --steps N    decode steps that are not timed, and that are (16 and 48; without a GPU 4 and 16)
  --gpu-times           also what the GPU does in a step; --main-thread: also what the page's main thread does
  --seconds N           after which no more is measured (3600)
  --machine TEXT        what the results say of the machine, such as the name of the GPU, which browsers seldom tell
  --vendor NAME         end with 1 if the adapter is another vendor's: a browser that finds no GPU takes the software adapter silently
  --add                 the rows of the file named by --json stay, but for those that are measured anew
  --json FILE           the results; the table (FILE.md) and the plot (FILE.svg) are written beside it
  --render FILE         only writes the table and the plot of results that are there
  --community FILE      only checks a file that somebody sent, copies it to bench/results/community, and makes the table there anew`;

export interface RunOptions {
  plans: ModelPlan[];
  mainThread: boolean;
  seconds: number;
  vendor: string | null;
  machine: string | null;
  json: string | null;
  add: boolean;
}

export type Options = RunOptions | { render: string } | { community: string };

/**
 * Reads the command line; null where the usage is asked for.
 *
 * @param gpu - the browser is to run on a GPU
 * @throws {Error} that names the option, its value and what is allowed
 */
export function readOptions(argv: readonly string[], gpu: boolean): Options | null {
  const text = (value: string) => ({ type: 'string', default: value }) as const;
  const { values } = parseArgs({
    args: [...argv],
    options: {
      help: { type: 'boolean' },
      models: text(gpu ? 'qwen3-0.6b,llama-3.2-1b' : 'small'),
      dtype: text(gpu ? 'q4f16' : 'q4'),
      lengths: text(gpu ? '512,2048,8192,32768p,65536p,131072p' : '512,1024'),
      variants: text('stock,default,exact'),
      turns: text(gpu ? '5' : '2'),
      warm: text(gpu ? '16' : '4'),
      steps: text(gpu ? '48' : '16'),
      'gpu-times': { type: 'boolean', default: false },
      'main-thread': { type: 'boolean', default: false },
      seconds: text('3600'),
      vendor: { type: 'string' },
      machine: { type: 'string' },
      add: { type: 'boolean', default: false },
      json: { type: 'string' },
      render: { type: 'string' },
      community: { type: 'string' },
    },
  });
  if (values.help) return null;
  if (values.render !== undefined) return { render: values.render };
  if (values.community !== undefined) return { community: values.community };
  const { dtype } = values;
  if (dtype !== 'q4' && dtype !== 'q4f16') throw new Error(`--dtype is "${dtype}"; it is q4 or q4f16.`);
  const variants = namesOf(values.variants) as VariantName[];
  const turns = whole('turns', values.turns);
  const lengths = values.lengths.split(',').map((each): LengthPlan => {
    const [length = '', own] = each.split('x');
    const past = length.endsWith('p');
    return {
      context: whole('lengths', past ? length.slice(0, -1) : length),
      past,
      variants,
      turns: own === undefined ? turns : whole('lengths', own),
    };
  });
  const plan = {
    dtype,
    lengths,
    warm: whole('warm', values.warm),
    steps: whole('steps', values.steps),
    gpu: values['gpu-times'],
  } as const;
  return {
    plans: values.models.split(',').map((model) => ({ model, ...plan })),
    mainThread: values['main-thread'],
    seconds: whole('seconds', values.seconds),
    vendor: values.vendor ?? null,
    machine: values.machine ?? null,
    json: values.json ?? null,
    add: values.add,
  };
}

/** Some names have commas: then semicolons separate them. */
const namesOf = (list: string): string[] =>
  list.split(list.includes(';') ? ';' : ',').map((each) => each.trim());

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${name} has "${text}"; it is a whole number from 1 on.`);
  return value;
}
