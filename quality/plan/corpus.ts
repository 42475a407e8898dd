// The text that models are measured on: documents, their halves, and where sequences begin.

/** Between documents, as in the models' training text. */
export const SEPARATOR = '<|endoftext|>';

export type Half = 'first' | 'second' | 'all';

/** A tokenised text. */
export interface Corpus {
  /** Tokens of each document, its end token the last. */
  documents: number[][];
}

/** Tokens in a row, of one half or both. */
export interface Part {
  half: 'first' | 'second';
  /** Place of its first token in the whole text. */
  offset: number;
  tokens: number[];
}

/** The documents of a text. */
export function splitDocuments(text: string): string[] {
  return text
    .split(SEPARATOR)
    .map((document) => document.replace(/^\n/, '').replace(/\n$/, ''))
    .filter((document) => document.trim() !== '');
}

/** The two halves of a text: cut between the documents where the tokens come closest to being shared equally. */
export function halves({ documents }: Corpus): [Part, Part] {
  const total = documents.reduce((sum, document) => sum + document.length, 0);
  let cut = 0;
  let before = 0;
  for (let i = 0, sum = 0; i <= documents.length; sum += documents[i]?.length ?? 0, i++) {
    if (Math.abs(2 * sum - total) < Math.abs(2 * before - total)) {
      cut = i;
      before = sum;
    }
  }
  return [
    { half: 'first', offset: 0, tokens: documents.slice(0, cut).flat() },
    { half: 'second', offset: before, tokens: documents.slice(cut).flat() },
  ];
}

/** The parts that a choice of half names. */
export function partsOf(corpus: Corpus, half: Half): Part[] {
  return halves(corpus).filter((part) => half === 'all' || part.half === half);
}

/** One sequence to decode. */
export interface Sequence {
  half: 'first' | 'second';
  /** Place of its first token in the whole text. */
  start: number;
  tokens: number[];
}

/**
 * Sequences of `length` tokens, spread evenly over each part, as many of each as the other (the first has one more if they are odd).
 * @throws Error if a part is too short for one.
 */
export function sequencesOf(parts: readonly Part[], count: number, length: number): Sequence[] {
  return parts.flatMap(({ half, offset, tokens }, i) => {
    const own = Math.floor((count + parts.length - 1 - i) / parts.length);
    if (own > 0 && tokens.length < length) {
      throw new Error(
        `The ${half} half of the text has ${tokens.length} tokens; a sequence takes ${length} (--prompt + --steps + 1).`,
      );
    }
    return Array.from({ length: own }, (_, k) => {
      const at = Math.floor((k * (tokens.length - length)) / Math.max(1, own - 1));
      return { half, start: offset + at, tokens: tokens.slice(at, at + length) };
    });
  });
}
