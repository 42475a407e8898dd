// What the attention mask and the positions of a step cost transformers.js in JavaScript, with the plugin and without it.
// `npx tsx bench/mask.ts`; with `--batch 4` for as many sequences.
import { parseArgs } from 'node:util';
import { cat, LlamaForCausalLM, Tensor } from '@huggingface/transformers';
import { markdownTable } from '../lab/markdown.ts';
import { quantile } from '../lab/statistics.ts';
import { MaskHook } from '../src/adapters/transformers/mask/mask-hook.ts';
import type { HubModel, ModelInputs } from '../src/adapters/transformers/runtime.ts';
import type { Tensors } from '../src/adapters/transformers/session-hook.ts';

const LENGTHS = [1024, 8192, 32768, 131072];
const STEPS = 120;

const { values } = parseArgs({ options: { batch: { type: 'string', default: '1' } } });
const batch = Number(values.batch);

/** The library's `cat` is slower once it has had arrays of more than four classes, which the engine tells apart no longer. */
function showOtherTypes(): void {
  const data = {
    float32: new Float32Array(16),
    float16: new Uint16Array(16),
    int32: new Int32Array(16),
    uint8: new Uint8Array(16),
  };
  const tensors = Object.entries(data).map(
    ([type, elements]) => new Tensor(type as keyof typeof data, elements as never, [2, 8]),
  );
  for (let i = 0; i < 200; i++) for (const tensor of tensors) cat([tensor, tensor], 1);
}

/** Milliseconds of the update and of what `forward` does before the session runs, in the middle step, by lengths. */
async function measure(kept: boolean): Promise<{ update: number; forward: number }[]> {
  let observe: ((feeds: Tensors) => void) | undefined;
  const session = {
    inputNames: ['attention_mask', 'position_ids'],
    inputMetadata: [],
    run: async (feeds: Tensors) => {
      observe?.(feeds);
      return {};
    },
  };
  const Model = LlamaForCausalLM as unknown as new (...args: unknown[]) => HubModel;
  const model = new Model({ model_type: 'llama', is_encoder_decoder: false }, { model: session }, {});
  if (kept) {
    const hook = new MaskHook(model, () => true);
    if (hook.unknown !== undefined) throw new Error(hook.unknown);
    observe = (feeds) => hook.observe(feeds);
  }
  const figures: { update: number; forward: number }[] = [];
  for (const length of LENGTHS) {
    const mask = new Tensor('int64', new BigInt64Array(batch * length).fill(1n), [batch, length]);
    let inputs = { attention_mask: mask } as unknown as ModelInputs;
    const times = { update: [] as number[], forward: [] as number[] };
    for (let step = 0; step < STEPS; step++) {
      const begin = performance.now();
      inputs = model._update_model_kwargs_for_generation({
        generated_input_ids: Array.from({ length: batch }, () => [5n]),
        outputs: {},
        model_inputs: inputs,
        is_encoder_decoder: false,
      });
      const updated = performance.now();
      await model.forward({ ...inputs });
      times.update.push(updated - begin);
      times.forward.push(performance.now() - updated);
    }
    figures.push({ update: quantile(times.update, 0.5), forward: quantile(times.forward, 0.5) });
  }
  return figures;
}

const stock = await measure(false);
showOtherTypes();
const variants = {
  'stock, only masks were put together': stock,
  'stock, tensors of other types, too': await measure(false),
  plugin: await measure(true),
};
const rows = Object.entries(variants).flatMap(([name, figures]) =>
  (['update', 'forward'] as const).map((part) => [
    `${name}: ${part}`,
    ...figures.map((figure) => figure[part].toFixed(3)),
  ]),
);
console.log(markdownTable(['milliseconds', ...LENGTHS], rows));
