// A conversation whose KV cache is kept: each turn adds its tokens, and nothing is read twice.
import {
  DynamicCache,
  type PreTrainedTokenizer,
  Tensor,
  type TextGenerationPipeline,
} from '@huggingface/transformers';

/** Stands for an answer where the chat template is asked what comes after one. */
const ANSWER = 'ANSWER';

/**
 * The text of a turn as the model has learned to read it. A later turn is only what the template puts after the last answer. To render
 * the whole conversation again would not do: templates change earlier turns, and the cache would not fit.
 */
function turnText(tokenizer: PreTrainedTokenizer, question: string, first: boolean): string {
  // A model without a template does not chat. It goes on with the text.
  if (!tokenizer.chat_template) return first ? question : `\n\n${question}`;
  const before = [
    { role: 'user', content: 'QUESTION' },
    { role: 'assistant', content: ANSWER },
  ];
  const text = tokenizer.apply_chat_template(
    [...(first ? [] : before), { role: 'user', content: question }],
    // Models that can think aloud are asked not to.
    { tokenize: false, add_generation_prompt: true, enable_thinking: false } as object,
  ) as unknown as string;
  return first ? text : text.slice(text.indexOf(ANSWER) + ANSWER.length);
}

export class Conversation {
  private cache = new DynamicCache();
  /** All tokens up to now. The cache holds the rows of these, or of all but the last. */
  private tokens: number[] = [];

  constructor(private readonly generator: TextGenerationPipeline) {}

  get length(): number {
    return this.tokens.length;
  }

  /** Tokens in the cache. */
  get cached(): number {
    return this.cache.get_seq_length();
  }

  /**
   * Asks, and adds question and answer to the conversation. If the model fails, the conversation is what it was before.
   *
   * @param options - of the generation: its streamer, its stopping criteria
   */
  async ask(question: string, maxNewTokens: number, options: Record<string, unknown>): Promise<void> {
    const { model, tokenizer } = this.generator;
    const text = turnText(tokenizer, question, this.tokens.length === 0);
    const tokens = [...this.tokens, ...tokenizer.encode(text, { add_special_tokens: false })];
    const { max_position_embeddings: limit = 2048 } = model.config as { max_position_embeddings?: number };
    const room = limit - tokens.length;
    if (room < 16)
      throw new Error(
        `This chat has ${tokens.length} tokens, and the model takes ${limit}. Start a new one.`,
      );
    try {
      const output = (await model.generate({
        inputs: new Tensor('int64', BigInt64Array.from(tokens, BigInt), [1, tokens.length]),
        past_key_values: this.cache,
        max_new_tokens: Math.min(maxNewTokens, room),
        do_sample: false,
        ...options,
      } as never)) as Tensor;
      this.tokens = Array.from(output.data as BigInt64Array, Number);
      // The token that ends an answer is part of what the template puts after it.
      const ends = [model.generation_config?.eos_token_id ?? []].flat() as number[];
      if (ends.includes(this.tokens.at(-1)!)) this.tokens.pop();
    } catch (error) {
      // What the cache holds now is not known. The next turn reads the conversation again.
      await this.cache.dispose();
      this.cache = new DynamicCache();
      throw error;
    }
  }

  /** Frees the cache, and begins anew. */
  async clear(): Promise<void> {
    this.tokens = [];
    await this.cache.dispose();
    this.cache = new DynamicCache();
  }
}
