// What the embedded model can do: it has learned to find a code of five digits again that a text states in one of three forms. It is no
// chat model. Asked for anything else, it would go on with some text of its own, and so it is not asked.
import type { Frame } from './prompt.ts';

/** A code that a text states. */
export interface Code {
  readonly question: string;
  /** Five digits. */
  readonly value: string;
  /** What has the code, such as "silent harbor". */
  readonly thing: string;
  /** Where in the text the statement ends, in characters. */
  readonly end: number;
  readonly frame: Frame;
}

const STATEMENT = /\bthe (access code for|number of|key to) the ([a-z]+ [a-z]+) is (\d{5})\b/gi;

/** The prompt in the words that the model was trained on. */
function frameOf(what: string, thing: string, question: string): Frame {
  const begins = `The ${what} the ${thing} is`;
  const asked = what === 'key to' ? `${question} ` : `Question: ${question}\nAnswer: `;
  return { before: '', after: `\n\n${asked}${begins}`, begins };
}

/** The codes that a text states, each question once. */
export function codesIn(text: string): Code[] {
  const codes = new Map<string, Code>();
  for (const match of text.matchAll(STATEMENT)) {
    const [what, thing] = [match[1]!.toLowerCase(), match[2]!.toLowerCase()];
    const question = `What is the ${what} the ${thing}?`;
    if (codes.has(question)) continue;
    const end = match.index + match[0].length;
    codes.set(question, { question, value: match[3]!, thing, end, frame: frameOf(what, thing, question) });
  }
  return [...codes.values()];
}

/** The code that a question asks for: it names the thing. */
export function codeAskedFor(question: string, text: string): Code | undefined {
  const asked = question.toLowerCase().replace(/\s+/g, ' ').trim();
  const named = codesIn(text).filter(({ thing }) => asked.includes(thing));
  return named.find((code) => code.question.toLowerCase() === asked) ?? named[0];
}

/** Whether an answer may be shown: it is the beginning of a code, or a code. */
export const looksLikeCode = (answer: string): boolean => /^\d{0,5}\.?$/.test(answer);
