import { parseArgs } from 'node:util';

export const USAGE = `npm run matrix -- --graphs DIR [options]
Tries the plugin on every model of a folder (DIR/NAME/config.json, tokenizer.json, onnx/*.onnx, as transformers.js loads them) in a
headless browser: on the software adapter, or with SIFT_GPU=1 on the GPU. Each model has pages and browsers of its own. It is held
against stock: with every row read, with the default options, switched off, or after enableSift has refused it. Ends with 1 if there
is a wrong token, an error that is no SiftError, a dead page, or a layer that sifts and leaves nothing out.
  --only NAME,NAME   these models only
  --dtype NAME       q4, q4f16, fp16, fp32 (each model's first of q4, fp32, q4f16, fp16 that it has)
  --prompt N         tokens of the prompt (300), --steps N decode steps after it (24)
  --seconds N        a page that takes longer has failed (240)
  --vendor NAME      end with 1 where a model runs on an adapter of another vendor (such as nvidia): a browser that finds no GPU takes the
                     software adapter, and says nothing
  --subgroups        keep subgroups of fewer than 8 lanes, as the software adapter's: older runtimes have flash decode with subgroups
                     alone, but prompts are wrong on such narrow ones, in stock and in ours alike
  --json FILE        what was found; with --only, the other models of that file stay
  --docs FILE        instead: write the table of docs/models.md that is named as such a file is, from it
  --versions DIR     instead of all models with one runtime: the first model with every unpacked build of onnxruntime-web or
                     @huggingface/transformers in DIR`;

export interface Options {
  graphs: string;
  only: string[] | null;
  dtype: string | null;
  prompt: number;
  steps: number;
  seconds: number;
  vendor: string | null;
  subgroups: boolean;
  json: string | null;
  versions: string | null;
}

/** Reads the command line: what to run, the file whose table is wanted, or null where the usage is asked for. */
export function readOptions(argv: readonly string[]): Options | { docs: string } | null {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      help: { type: 'boolean' },
      graphs: { type: 'string' },
      only: { type: 'string' },
      dtype: { type: 'string' },
      prompt: { type: 'string', default: '300' },
      steps: { type: 'string', default: '24' },
      seconds: { type: 'string', default: '240' },
      vendor: { type: 'string' },
      subgroups: { type: 'boolean', default: false },
      json: { type: 'string' },
      docs: { type: 'string' },
      versions: { type: 'string' },
    },
  });
  if (values.help) return null;
  if (values.docs !== undefined) return { docs: values.docs };
  if (values.graphs === undefined) throw new Error('--graphs is missing: the folder that holds the models.');
  const whole = (name: 'prompt' | 'steps' | 'seconds'): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`--${name} is "${values[name]}"; it is a whole number from 1 on.`);
    return value;
  };
  return {
    graphs: values.graphs,
    only: values.only?.split(',') ?? null,
    dtype: values.dtype ?? null,
    prompt: whole('prompt'),
    steps: whole('steps'),
    seconds: whole('seconds'),
    vendor: values.vendor ?? null,
    subgroups: values.subgroups,
    json: values.json ?? null,
    versions: values.versions ?? null,
  };
}
