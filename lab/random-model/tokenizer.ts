/** What is read of a tokenizer.json. */
interface TokenizerJson {
  readonly model: { readonly vocab: Readonly<Record<string, number>> };
}

/**
 * A tokenizer with as many tokens as a model has. The tokens that it lacks are filled up by words that no text is cut into, because no
 * merges lead to them; a model may still write them.
 *
 * @param tokenizer - of the `tokenizer.json` of a byte-level BPE; the text or what it says
 */
export function fillTokenizer(tokenizer: string | object, vocabulary: number): object {
  const json = (typeof tokenizer === 'string' ? JSON.parse(tokenizer) : tokenizer) as TokenizerJson;
  const vocab = { ...json.model.vocab };
  const known = Object.keys(vocab).length;
  if (known > vocabulary)
    throw new Error(`The tokenizer has ${known} tokens, and the model only ${vocabulary}.`);
  // The byte-level alphabet writes a space as Ġ.
  for (let token = known; token < vocabulary; token++) vocab[`Ġw${token}`] = token;
  return { ...json, model: { ...json.model, vocab } };
}
