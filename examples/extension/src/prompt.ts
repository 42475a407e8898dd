// How a question about a page is put to a model.
import type { PageText } from './protocol.ts';

/** A prompt around the text of a page: what comes before it, and what comes after. */
export interface Frame {
  readonly before: string;
  readonly after: string;
  /** The beginning of the answer, which the prompt gives away. The model goes on after it. */
  readonly begins: string;
}

/** For models that chat. */
export const chatFrame = ({ title }: PageText, question: string): Frame => ({
  before: `This is the text of the web page “${title}”:\n\n`,
  after: `\n\nAnswer from this text alone, in a few sentences. If the text does not say it, say so.\n\nQuestion: ${question}`,
  begins: '',
});

/** For models of the hub that go on with a text, and do not chat. */
export const textFrame = (question: string): Frame => ({
  before: '',
  after: `\n\nQuestion: ${question.trim()}\nAnswer:`,
  begins: '',
});

/** Where a model that goes on with a text has answered: at the end of the first sentence or line. */
export function firstSentence(text: string): { text: string; complete: boolean } {
  const answer = text.trimStart();
  const end = /[.!?](?=\s)|\n/.exec(answer);
  return { text: (end ? answer.slice(0, end.index + 1) : answer).trim(), complete: end !== null };
}
