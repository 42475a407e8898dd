// Conversations that are made to break what sifting supposes of a text: that the rows to come are like those of before.

/** A conversation whose tokens are given, each after the prompt decoded by a step of its own. */
export interface Conversation {
  name: string;
  /** The prompt, the tokens of the steps, and one more, the last target. */
  tokens: number[];
  prompt: number;
  steps: number;
  /** The first step whose token is of the new kind; 1 where the prompt is of the old one alone. */
  breakAt: number;
}

/** One whose tokens after the prompt the model makes itself. */
export interface OpenConversation extends Omit<Conversation, 'tokens'> {
  tokens: null;
  begin: number[];
}

/** Tokens that conversations are made of. */
export interface ConversationSource {
  /** Documents of prose. */
  prose: readonly (readonly number[])[];
  code: readonly number[];
  /** Text in another language. */
  foreign: readonly number[];
  vocabulary: number;
}

/** Tokens of the usual prompt, steps after it, and steps after a prompt of {@link SHORT_PROMPT} tokens. */
export interface ConversationSizes {
  prompt: number;
  steps: number;
  long: number;
}

/** Tokens of the shortest prompts. */
export const SHORT_PROMPT = 20;

/** Numbers below a bound, always the same for a seed (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

type Builder = (source: ConversationSource, sizes: ConversationSizes) => Conversation | OpenConversation;

/** The first tokens of a text. @throws Error if it has too few. */
function first(name: string, text: readonly number[], count: number): number[] {
  if (text.length < count)
    throw new Error(`The ${name} has ${text.length} tokens; the conversations take ${count} of it.`);
  return text.slice(0, count);
}

const proseOf = ({ prose }: ConversationSource, count: number) => first('prose', prose.flat(), count);

function randomTokens(vocabulary: number, count: number): number[] {
  const next = numbers(20261201);
  // Token 0 ends a document in many vocabularies.
  return Array.from({ length: count }, () => 1 + next(vocabulary - 1));
}

const repeated = (token: number, count: number): number[] => new Array<number>(count).fill(token);

/** A prompt, and then text of another kind. */
const turn = (prompt: number[], after: number[]) => ({
  tokens: [...prompt, ...after],
  prompt: prompt.length,
  steps: after.length - 1,
  breakAt: 1,
});

/** The conversations by name. */
export const BUILDERS: Readonly<Record<string, Builder>> = {
  'topic switch': (source, { prompt, steps }) => {
    const { prose } = source;
    const before = prompt + Math.floor(steps / 2);
    const after = steps + 1 - Math.floor(steps / 2);
    const at = prose.findLastIndex((document) => document.length >= after);
    return {
      name: 'topic switch',
      tokens: [
        ...first('prose before its last long document', prose.slice(0, at).flat(), before),
        ...first('longest document of the prose', prose[at] ?? [], after),
      ],
      prompt,
      steps,
      breakAt: Math.floor(steps / 2) + 1,
    };
  },
  'one token repeated': (source, { prompt, steps }) => {
    const text = proseOf(source, prompt);
    return { name: 'one token repeated', ...turn(text, repeated(text.at(-1)!, steps + 1)) };
  },
  'prose after one token': (source, { prompt, steps }) => {
    const text = proseOf(source, steps + 1);
    return { name: 'prose after one token', ...turn(repeated(text[0]!, prompt), text) };
  },
  copy: (source, { prompt, steps }) => {
    const text = proseOf(source, Math.max(prompt, steps + 1));
    const passage = text.slice(0, prompt);
    const again = Array.from({ length: steps + 1 }, (_, i) => passage[i % prompt]!);
    return { name: 'copy', ...turn(passage, again) };
  },
  'code after prose': (source, { prompt, steps }) => ({
    name: 'code after prose',
    ...turn(proseOf(source, prompt), first('code', source.code, steps + 1)),
  }),
  'another language after prose': (source, { prompt, steps }) => ({
    name: 'another language after prose',
    ...turn(proseOf(source, prompt), first('other language', source.foreign, steps + 1)),
  }),
  'random tokens': (source, { prompt, steps }) => ({
    name: 'random tokens',
    ...turn(proseOf(source, prompt), randomTokens(source.vocabulary, steps + 1)),
  }),
  'prose after random tokens': (source, { prompt, steps }) => ({
    name: 'prose after random tokens',
    ...turn(randomTokens(source.vocabulary, prompt), proseOf(source, steps + 1)),
  }),
  'short prompt': (source, { long }) => ({
    name: 'short prompt',
    ...turn(proseOf(source, SHORT_PROMPT), proseOf(source, SHORT_PROMPT + long + 1).slice(SHORT_PROMPT)),
  }),
  'own words after a short prompt': (source, { long }) => ({
    name: 'own words after a short prompt',
    tokens: null,
    begin: proseOf(source, SHORT_PROMPT),
    prompt: SHORT_PROMPT,
    steps: long,
    breakAt: 1,
  }),
};

/**
 * The names that a text lists, `all` for all.
 * @throws Error that says which there are.
 */
export function conversationNames(list: string): string[] {
  const known = Object.keys(BUILDERS);
  if (list === 'all') return known;
  const names = list.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Error(`--conversations is "${unknown}"; it is all, or some of: ${known.join(', ')}.`);
  return names;
}
