// Plain JavaScript, since pages and workers without a bundler load it as it is.

/**
 * Enables sift on a model of a copy of transformers.js, generates with it and without it, and says what came of it.
 * @param {typeof import('@huggingface/transformers')} library
 * @param {typeof import('../../src/index.ts').enableSift} enableSift
 * @param {boolean} late the model generates before sift is enabled
 * @param {number | 'auto'} siftFrom as in the options
 */
export async function decode({ env, AutoModelForCausalLM, Tensor }, enableSift, late = false, siftFrom = 0) {
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = new URL('/models/', self.location.origin).href;
  env.useBrowserCache = false;
  const model = await AutoModelForCausalLM.from_pretrained('plain', { device: 'webgpu', dtype: 'fp32' });
  const ids = Array.from({ length: 20 }, (_, i) => BigInt(30 + i));
  const tensor = (/** @type {(id: bigint) => bigint} */ value) =>
    new Tensor('int64', BigInt64Array.from(ids, value), [1, ids.length]);
  const generate = async () => {
    const inputs = { inputs: tensor((id) => id), attention_mask: tensor(() => 1n) };
    const options = { max_new_tokens: 5, do_sample: false, eos_token_id: -1 };
    return String(
      await model.generate(/** @type {any} */ ({ ...inputs, ...options })).then((it) => it.tolist()),
    );
  };
  if (late) await generate();
  const sift = await enableSift(model, { quality: 'exact', siftFrom });
  const ours = await generate();
  const { steps, runtime, crossover } = await sift.report();
  // What the package loads later, where it loads anything.
  const { layerCount } = await sift.report({ summary: true });
  const { firstDifference } = await sift.compare(ids, { maxNewTokens: 2 });
  sift.dispose();
  return {
    same: ours === (await generate()),
    steps,
    layers: layerCount,
    firstDifference,
    tested: runtime.tested,
    crossover: crossover[0]?.source,
  };
}
