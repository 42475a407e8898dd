// What is said where sift cannot be enabled on a model, and what would help. words.ts loads it.
import type { Observer } from './observer.ts';

/** The line that helps where the device cannot be found. */
const LINE =
  '`enableSift(target, { device: await env.backends.onnx.webgpu.device })`, with `env` of the transformers.js that made the pipeline';

export const ANOTHER_DEVICE = `the device that the pipeline runs on, which is another: leave it out, or write ${LINE}`;

export const NOT_FOUND = `The GPUDevice of the pipeline was not found. Pass it: ${LINE}.`;

export const NOT_WEBGPU =
  "The model does not run on WebGPU: no WebGPU device did anything when it ran. Create it with `pipeline(task, model, { device: 'webgpu' })`.";

export const LATE =
  "The attention of this model was compiled before enableSift was called. Write `import 'sift-attention/register'` before the first model is loaded, and enableSift works at any time. Or call it right after the model is loaded, before the first generation of any model on this device; then reload the page.";

/** What would help where the export is what stands in the way. */
const EXPORT =
  'An export with GroupQueryAttention can be sifted, such as those of the model builder of onnxruntime-genai';

/** Why no layer was recognised, by what a decode step dispatched. */
export function whyNone({ reasons, labels }: Pick<Observer, 'reasons' | 'labels'>): string {
  if (reasons.size > 0) return [...reasons].join('; ');
  const unknown = [...labels].filter((label) => /attention/i.test(label));
  if (unknown.length > 0)
    return `the runtime computes it with ${unknown.join(', ')}, which are no programs of its decode attention that are known`;
  if ([...labels].some((label) => /softmax/i.test(label)))
    return `the model has MatMul and Softmax in place of an attention operator, as the exports of Optimum do. ${EXPORT}`;
  return `none of the programs that a decode step runs on the GPU computes attention; the runtime has some operators on the CPU alone, such as Attention of opset 23. ${EXPORT}`;
}
