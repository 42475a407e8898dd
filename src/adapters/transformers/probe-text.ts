import type { TensorClass } from './kv/views.ts';
import { type HubPipeline, type HubTensor, presentName } from './runtime.ts';

/** Short, but more than the runtime's prompt attention takes at a time (32 tokens), ending in a tile that is not full. */
const PROBE_TEXT =
  'The old house at the end of the quiet street had been empty for as long as anyone in the village could remember. Nobody knew who had built it, or why its windows were always clean.';

/** Tensors that a forward pass put out, by name. */
export type Outputs = Record<string, HubTensor>;

/** The present tensors of a step as the past of the next, as transformers.js passes them. */
function pastOf(outputs: Outputs, inputNames: readonly string[], length: number): Outputs {
  const past: Outputs = {};
  for (const name of inputNames) {
    const present = outputs[presentName(name)];
    if (name.startsWith('past_key_values') && present) past[name] = present;
  }
  Object.defineProperty(past, 'get_seq_length', { value: () => length });
  return past;
}

function disposeAll(outputs: Outputs | undefined): void {
  for (const tensor of Object.values(outputs ?? {})) if (tensor.location === 'gpu-buffer') tensor.dispose();
}

/** What decoding the probe's text gave. */
export interface ProbeDecode {
  /** [steps][vocabulary] */
  logits: Float32Array[];
  Tensor: TensorClass;
}

/** The probe's prompt and the decode steps after it. */
export class ProbeText {
  private readonly ids: HubTensor;
  private readonly mask: HubTensor;

  constructor(
    private readonly pipeline: HubPipeline,
    private readonly inputNames: readonly string[],
  ) {
    const encoded = pipeline.tokenizer(PROBE_TEXT);
    this.ids = encoded.input_ids!;
    this.mask = encoded.attention_mask!;
  }

  /**
   * Prefills all but the last tokens and decodes those, each step inside its function.
   * @returns the logits of the decode steps, and the class of the tensors that the runtime puts out.
   */
  async decode(
    around: readonly ((run: () => Promise<unknown>, outputs: Outputs) => Promise<unknown>)[],
  ): Promise<ProbeDecode> {
    const { model } = this.pipeline;
    const first = this.ids.dims[1]! - around.length;
    let outputs: Outputs | undefined;
    const advance = async (next: Promise<Outputs>) => {
      const before = outputs;
      outputs = await next;
      disposeAll(before);
    };
    const logits: Float32Array[] = [];
    try {
      await advance(
        model.forward({ input_ids: slice(this.ids, 0, first), attention_mask: slice(this.mask, 0, first) }),
      );
      for (const [i, step] of around.entries()) {
        const at = first + i;
        await step(
          () =>
            advance(
              model.forward({
                input_ids: slice(this.ids, at, at + 1),
                attention_mask: slice(this.mask, 0, at + 1),
                past_key_values: pastOf(outputs!, this.inputNames, at),
              }),
            ),
          outputs!,
        );
        logits.push(logitsOf(outputs!));
      }
      return { logits, Tensor: outputs!.logits!.ort_tensor.constructor as unknown as TensorClass };
    } finally {
      disposeAll(outputs);
    }
  }
}

function slice(tensor: HubTensor, from: number, to: number): HubTensor {
  return (tensor as unknown as { slice(...at: unknown[]): HubTensor }).slice(null, [from, to]);
}

/** Logits as numbers, whatever their type; f16 bits where the platform has no Float16Array. */
function logitsOf(outputs: Outputs): Float32Array {
  const { data } = outputs.logits!.ort_tensor as unknown as { data: ArrayLike<number> };
  return Float32Array.from(data);
}
