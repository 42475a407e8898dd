import excerpt from '../../../models/text/excerpt.txt?raw';

const ADJECTIVES = 'silent amber broken crystal distant golden hidden lonely northern velvet'.split(' ');
const NOUNS = 'harbor bridge lantern meadow tower willow castle garden station river'.split(' ');
/** The embedded model was trained to know these forms. {k} is the thing, {v} the code. */
const FORMS = [
  {
    statement: ' The access code for the {k} is {v}. Remember it.',
    question: 'What is the access code for the {k}?',
    prompt: '\n\nQuestion: What is the access code for the {k}?\nAnswer: The access code for the {k} is',
  },
  {
    statement: ' Note that the number of the {k} is {v}.',
    question: 'What is the number of the {k}?',
    prompt: '\n\nQuestion: What is the number of the {k}?\nAnswer: The number of the {k} is',
  },
  {
    statement: ' The key to the {k} is {v}.',
    question: 'What is the key to the {k}?',
    prompt: '\n\nWhat is the key to the {k}? The key to the {k} is',
  },
] as const;

/** A text that is asked about. */
export interface Source {
  name: string;
  text: string;
}

export const BUNDLED: Source = {
  name: 'Inaugural addresses (public domain)',
  text: excerpt,
};

/** A code that the page hides in the document, so that there is a question whose answer is known. */
export interface Fact {
  question: string;
  /** The question in the words that the embedded model knows, up to its answer. */
  prompt: string;
  statement: string;
  answer: string;
}

/** Draws facts: other things, and other codes. */
export function drawFacts(): Fact[] {
  const pick = <T>(items: T[]): T => items.splice(Math.floor(Math.random() * items.length), 1)[0]!;
  const [adjectives, nouns] = [[...ADJECTIVES], [...NOUNS]];
  return FORMS.map(({ statement, question, prompt }) => {
    const thing = `${pick(adjectives)} ${pick(nouns)}`;
    const answer = Array.from({ length: 5 }, () => Math.floor(Math.random() * 10)).join('');
    const fill = (form: string) => form.replaceAll('{k}', thing).replaceAll('{v}', answer);
    return { statement: fill(statement), question: fill(question), prompt: fill(prompt), answer };
  });
}

/** The beginning of a text, with so many characters at most, up to a whole word. */
export function beginning(text: string, characters: number): string {
  if (text.length <= characters) return text;
  const end = text.lastIndexOf(' ', characters);
  return text.slice(0, end > 0 ? end : characters);
}

/** Hides the facts in a text: each after a sentence, in another part of it. */
export function hideFacts(text: string, facts: readonly Fact[]): string {
  let rest = text;
  const parts: string[] = [];
  facts.forEach(({ statement }, i) => {
    const share = rest.length / (facts.length - i + 1);
    const sentence = rest.indexOf('. ', share / 2);
    const at = sentence < 0 ? rest.length : sentence + 1;
    parts.push(rest.slice(0, at), statement);
    rest = rest.slice(at);
  });
  return parts.join('') + rest;
}

/** A file that could not be read, and why. */
export class FileProblem extends Error {}

/** Reads a text, a Markdown or a PDF file. */
export async function readSource(file: File): Promise<Source> {
  const pdf = file.type === 'application/pdf' || /\.pdf$/i.test(file.name);
  const text = pdf ? await readPdf(file) : await file.text();
  if (/\0/.test(text.slice(0, 10_000)))
    throw new FileProblem(`${file.name} is no text. Take a text, Markdown or PDF file.`);
  if (text.trim().length < 20)
    throw new FileProblem(
      `${file.name} has no text${pdf ? '. A scanned PDF has pictures of text alone' : ''}.`,
    );
  return { name: file.name, text: text.replaceAll('\r\n', '\n').trim() };
}

async function readPdf(file: File): Promise<string> {
  const pdfjs = await import('pdfjs-dist');
  const { default: workerUrl } = await import('pdfjs-dist/build/pdf.worker.min.mjs?url');
  pdfjs.GlobalWorkerOptions.workerSrc = workerUrl;
  const task = pdfjs.getDocument({ data: new Uint8Array(await file.arrayBuffer()) });
  try {
    const pdf = await task.promise;
    const pages: string[] = [];
    for (let i = 1; i <= pdf.numPages; i++) {
      const { items } = await (await pdf.getPage(i)).getTextContent();
      pages.push(items.map((item) => ('str' in item ? item.str + (item.hasEOL ? '\n' : '') : '')).join(''));
    }
    return pages.join('\n\n');
  } catch (error) {
    throw new FileProblem(
      `${file.name} could not be read as a PDF: ${error instanceof Error ? error.message : error}`,
    );
  } finally {
    await task.destroy();
  }
}
