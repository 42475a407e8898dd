// How a question about a page is put to a model.
import type { PageText } from './protocol.ts';

/** A prompt around the text of a page: what comes before it, and what comes after. */
export interface Frame {
  readonly before: string;
  readonly after: string;
}

/** For models that chat. */
export const chatFrame = ({ title }: PageText, question: string): Frame => ({
  before: `This is the text of the web page “${title}”:\n\n`,
  after: `\n\nAnswer from this text alone, in a few sentences. If the text does not say it, say so.\n\nQuestion: ${question}`,
});

const WHAT_IS = /^what is (the .+?)\s*\??$/i;

/** The beginning of an answer that the question gives away: "The code for the door is" for "What is the code for the door?". */
export function answerBegins(question: string): string | null {
  const subject = WHAT_IS.exec(question.trim())?.[1];
  return subject ? `${subject[0]!.toUpperCase()}${subject.slice(1)} is` : null;
}

/** For models that go on with a text. They answer well where the answer has begun already. */
export function textFrame(question: string): Frame {
  const begins = answerBegins(question);
  return { before: '', after: `\n\nQuestion: ${question.trim()}\nAnswer:${begins ? ` ${begins}` : ''}` };
}

/** Where a model that goes on with a text has answered: at the end of the first sentence or line. */
export function firstSentence(text: string): { text: string; complete: boolean } {
  const answer = text.trimStart();
  const end = /[.!?](?=\s)|\n/.exec(answer);
  return { text: (end ? answer.slice(0, end.index + 1) : answer).trim(), complete: end !== null };
}

/** Sentences whose fact the embedded model has learned to find again. */
const KNOWN = /\bthe (access code for|number of|key to) the ([a-z]+ [a-z]+) is \d{5}\b/gi;

/** Questions that the embedded model can answer about a text, each once. */
export function suggestions(text: string): string[] {
  const found = [...text.matchAll(KNOWN)].map(([, what, name]) => `What is the ${what} the ${name}?`);
  return [...new Set(found)];
}
