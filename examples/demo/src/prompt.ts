import excerpt from '../../../models/text/excerpt.txt?raw';

const ADJECTIVES = 'silent amber broken crystal distant golden hidden lonely northern velvet'.split(' ');
const NOUNS = 'harbor bridge lantern meadow tower willow castle garden station river'.split(' ');

/** A prompt, and what a correct answer contains. */
export interface Prompt {
  text: string;
  answer: string | null;
}

interface Example {
  label: string;
  /** What is planted in the text and asked for at its end; {k} is the thing, {v} the code. */
  planted?: { statement: string; question: string };
}

/** The embedded model was trained to know these forms; beyond that it continues text. */
export const EXAMPLES: Record<string, Example> = {
  needle: {
    label: 'Find an access code in a long text',
    planted: {
      statement: ' The access code for the {k} is {v}. Remember it.',
      question: '\n\nQuestion: What is the access code for the {k}?\nAnswer: The access code for the {k} is',
    },
  },
  number: {
    label: 'Find a number in a long text',
    planted: {
      statement: ' Note that the number of the {k} is {v}.',
      question: '\n\nQuestion: What is the number of the {k}?\nAnswer: The number of the {k} is',
    },
  },
  key: {
    label: 'Find a key in a long text',
    planted: {
      statement: ' The key to the {k} is {v}.',
      question: '\n\nWhat is the key to the {k}? The key to the {k} is',
    },
  },
  continue: { label: 'Continue a long text' },
  own: { label: 'Your own text' },
};

/** Tokens of the slider's position, which is a base-2 logarithm. */
export const sliderTokens = (position: number): number => Math.round(2 ** position / 16) * 16;

/** Something that counts tokens: the model's tokenizer, or an estimate while no model is loaded. */
export type CountTokens = (text: string) => number;

/** Good enough for the tokenizer of the embedded model. */
export const estimateTokens: CountTokens = (text) => Math.round(text.length / 3.9);

let ratio: { of: CountTokens; value: number } | undefined;
function charactersPerToken(countTokens: CountTokens): number {
  if (ratio?.of !== countTokens) {
    const sample = excerpt.slice(0, 8000);
    ratio = { of: countTokens, value: sample.length / countTokens(sample) };
  }
  return ratio.value;
}

const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)]!;

/** Makes the prompt of an example with about so many tokens. */
export function buildPrompt(name: string, tokens: number, countTokens: CountTokens): Prompt {
  const perToken = charactersPerToken(countTokens);
  const planted = EXAMPLES[name]?.planted;
  if (!planted) return { text: filler(tokens * perToken), answer: null };
  const key = `${pick(ADJECTIVES)} ${pick(NOUNS)}`;
  const answer = Array.from({ length: 5 }, () => Math.floor(Math.random() * 10)).join('');
  const fill = (form: string) => form.replaceAll('{k}', key).replaceAll('{v}', answer);
  const [statement, question] = [fill(planted.statement), fill(planted.question)];
  const padding = filler((tokens - countTokens(statement + question)) * perToken);
  // After a sentence somewhere in the first two thirds.
  const sentence = padding.indexOf('. ', padding.length * (0.1 + 0.5 * Math.random()));
  const at = sentence < 0 ? 0 : sentence + 1;
  const text = padding.slice(0, at) + statement + (at === 0 ? ' ' : '') + padding.slice(at) + question;
  return { text: text.trimStart(), answer };
}

/** The beginning of the excerpt, up to a whole word. */
function filler(characters: number): string {
  let text = excerpt;
  while (text.length < characters) text += `\n\n${excerpt}`;
  const end = text.lastIndexOf(' ', Math.max(0, characters));
  return text.slice(0, Math.max(0, end));
}
