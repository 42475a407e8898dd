// Stock and sift on the same prompt, on transformers.js. It is loaded with the first comparison.
import type { CompareOptions, ComparePrompt, Comparison } from '../../comparison.ts';
import { type ComparePlan, comparedRun, comparing, firstDifference, stepsOf } from '../shared/comparing.ts';
import { klDivergence } from '../shared/logits.ts';
import { decodeGreedily } from './greedy.ts';
import { readPrompt } from './prompt.ts';
import type { TransformersSift } from './transformers-sift.ts';

/** As `sift.compare`. */
export function compare(
  sift: TransformersSift,
  prompt: ComparePrompt,
  options: CompareOptions,
): Promise<Comparison> {
  return comparing(sift.target.life, options, (plan) => compareNow(sift, prompt, plan));
}

async function compareNow(
  sift: TransformersSift,
  given: ComparePrompt,
  { count, divergence, signal }: ComparePlan,
): Promise<Comparison> {
  const { model } = sift.target;
  const { tokens: prompt, textOf } = readPrompt(sift.target.given, given);
  const ends = endTokens(model);
  const predicted: Float32Array[] = [];
  const stock = await decodeGreedily(sift, undefined, {
    ...{ prompt, fed: [], count, ends, signal },
    visit: (_, logits) => divergence && predicted.push(logits),
  });
  const client = sift.newClient(prompt.length + count);
  try {
    const kl: number[] = [];
    // Sift is fed with the tokens of stock, so that both predict from the same text. Up to the first difference they are its own.
    const fed = await decodeGreedily(sift, client, {
      ...{ prompt, fed: stock.tokens, count: stock.tokens.length, ends: [], signal },
      visit: (index, logits) => {
        const exact = predicted[index];
        // The first token is the prompt's, which no decode step predicts.
        if (index > 0 && exact) kl.push(klDivergence(exact, logits));
      },
    });
    const steps = stepsOf(client.conversations.current);
    const difference = firstDifference(stock.tokens, fed.tokens);
    let own = fed.tokens;
    if (difference !== null && difference < count - 1) {
      // From there it goes on from tokens of its own.
      const same = stock.tokens.slice(0, difference);
      const free = await decodeGreedily(sift, client, { prompt, fed: same, count, ends, signal });
      own = [...same, ...free.tokens.slice(difference)];
    }
    return {
      promptTokens: prompt.length,
      stock: comparedRun(stock.tokens, textOf(stock.tokens), stock.milliseconds),
      sift: comparedRun(own, textOf(own), fed.milliseconds),
      firstDifference: firstDifference(stock.tokens, own),
      divergence:
        kl.length > 0
          ? { mean: kl.reduce((a, b) => a + b) / kl.length, max: Math.max(...kl), tokens: kl.length }
          : null,
      ...steps,
    };
  } finally {
    client.conversations.destroy();
  }
}

/** Tokens that end a text, as `generate` takes them. */
function endTokens({ generation_config, config }: TransformersSift['target']['model']): number[] {
  const ends = generation_config?.eos_token_id ?? config.eos_token_id ?? [];
  return [ends].flat().filter((id) => typeof id === 'number');
}
