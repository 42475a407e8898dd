// The conversations of a soak: a round of several kinds, and then the same round with other text.

/** One conversation. */
export interface Talk {
  turns: { prompt: number[]; count: number }[];
  /** The step at which the app breaks the generation off. */
  interruptAt: number | null;
}

/** Kinds of conversations in a round: prompts and new tokens of each turn, as shares of those of the largest. */
const ROUND: readonly { turns: [prompt: number, count: number][]; interrupted?: boolean }[] = [
  { turns: [[1, 1]] },
  { turns: [[0.1, 0.5]] },
  {
    turns: [
      [0.5, 0.5],
      [0.25, 0.5],
    ],
  },
  { turns: [[0.5, 1]], interrupted: true },
];

/** Conversations of a round. */
export const ROUND_LENGTH = ROUND.length;

/**
 * The conversation of a number, from 0 on: kinds come in turns, and each takes other text.
 *
 * @param sizes tokens of the longest prompt, and new tokens at most
 */
export function talkOf(
  number: number,
  text: readonly number[],
  { prompt, count }: { prompt: number; count: number },
): Talk {
  const { turns, interrupted = false } = ROUND[number % ROUND_LENGTH]!;
  let at = (number * 977) % Math.max(1, text.length - 2 * prompt);
  const made = turns.map(([ofPrompt, ofCount]) => {
    const length = Math.max(2, Math.round(ofPrompt * prompt));
    const tokens = text.slice(at, at + length);
    at += length;
    return { prompt: [...tokens], count: Math.max(2, Math.round(ofCount * count)) };
  });
  return { turns: made, interruptAt: interrupted ? Math.max(2, Math.floor(made[0]!.count / 2)) : null };
}
