// Plain JavaScript, since pages without a bundler load it as it is.

/**
 * Generates on one model without sift, and then with each set of options.
 * @param {typeof import('@huggingface/transformers')} library
 * @param {typeof import('../../src/index.ts').enableSift} enableSift
 * @param {Record<string, import('../../src/index.ts').SiftOptions>} modes options by name
 * @param {number} promptTokens length of the prompt
 * @param {number} newTokens tokens that are generated
 */
export async function modes(library, enableSift, modes, promptTokens, newTokens) {
  const { env, AutoModelForCausalLM, Tensor } = library;
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = new URL('/models/', self.location.origin).href;
  env.useBrowserCache = false;
  const model = await AutoModelForCausalLM.from_pretrained('plain', { device: 'webgpu', dtype: 'fp32' });
  const ids = Array.from({ length: promptTokens }, (_, i) => BigInt(30 + ((i * 7) % 60)));
  const tensor = (/** @type {(id: bigint) => bigint} */ value) =>
    new Tensor('int64', BigInt64Array.from(ids, value), [1, ids.length]);
  const generate = async () => {
    const inputs = { inputs: tensor((id) => id), attention_mask: tensor(() => 1n) };
    const options = { max_new_tokens: newTokens, do_sample: false, eos_token_id: -1 };
    return String(
      await model.generate(/** @type {any} */ ({ ...inputs, ...options })).then((it) => it.tolist()),
    );
  };
  const stock = await generate();
  /** @type {Record<string, unknown>} */
  const found = {};
  for (const [name, options] of Object.entries(modes)) {
    const sift = await enableSift(model, options);
    const ours = await generate();
    const { steps, layers, cache, keptGroup } = await sift.report();
    sift.dispose();
    const tokens = ours.split(',').slice(promptTokens).map(Number);
    found[name] = {
      same: ours === stock,
      tokens,
      steps,
      layers: layers.length,
      cache: cache.kind,
      keptGroup,
    };
  }
  found.stockAgain = (await generate()) === stock;
  return found;
}
