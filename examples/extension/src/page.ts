// The text of the page that the panel belongs to.
import { Readability } from '@mozilla/readability';
import type { PageText } from './protocol.ts';

/** A page that cannot be read, in words for the user. */
export class PageError extends Error {}

/** Elements after which a line, and elements after which a paragraph ends. Markup need not have a line break there. */
const LINES = 'br, li, tr, dt, dd, div, section, figcaption';
const PARAGRAPHS = 'p, h1, h2, h3, h4, h5, h6, pre, blockquote, ul, ol, table';

/** Text without the markup's indentation. Paragraphs stay apart. */
const tidy = (text: string) =>
  text
    .replace(/[^\S\n]+/g, ' ')
    .replace(/ ?\n ?/g, '\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();

/** The text of an element, with line breaks where a reader sees them. */
function linesOf(element: Element): string {
  for (const it of element.querySelectorAll(LINES)) it.after('\n');
  for (const it of element.querySelectorAll(PARAGRAPHS)) it.after('\n\n');
  for (const it of element.querySelectorAll('td, th')) it.after(' ');
  return tidy(element.textContent ?? '');
}

/** The article of a document, or all of its text where there is no article. */
export function textOf(html: string, url: string): PageText {
  const parsed = new DOMParser().parseFromString(html, 'text/html');
  for (const element of parsed.querySelectorAll('script, style, noscript, template')) element.remove();
  const title = parsed.title.trim();
  const all = parsed.body.cloneNode(true) as Element;
  const article = new Readability(parsed, { serializer: (node) => node as Element }).parse();
  const text = (article?.content && linesOf(article.content)) || linesOf(all);
  if (!text) throw new PageError('There is no text on this page. Pictures and embedded pages are not read.');
  return { title: article?.title?.trim() || title || new URL(url).hostname, text };
}

/** Why a page was not read, and what helps. */
function refused(message: string): PageError {
  if (/chrome:\/\/|chrome-extension:\/\/|devtools:|gallery|extensions page/i.test(message))
    return new PageError(
      'This is a page of the browser, and extensions may not read those. Open another page.',
    );
  if (/No tab|frame.*(removed|not found)/i.test(message))
    return new PageError('The page went away while it was read. Read it again.');
  return new PageError(
    'The browser does not let the extension read this page. If the tab has gone to another site, click the icon “Ask this page” in the toolbar once more.',
  );
}

/** Reads the page of a tab. The user's click on the extension's icon has given leave to, until the tab goes to another site. */
export async function readPage(tabId: number): Promise<PageText> {
  const results = await chrome.scripting
    .executeScript({
      target: { tabId },
      func: () => ({
        html: document.documentElement.outerHTML,
        url: location.href,
        type: document.contentType,
      }),
    })
    .catch((error: Error) => {
      throw refused(error.message);
    });
  const page = results[0]?.result;
  if (!page) throw new PageError('The page did not answer. Read it again when it has loaded.');
  if (
    page.type === 'application/pdf' ||
    /<embed[^>]+type="application\/(x-google-chrome-)?pdf"/.test(page.html)
  )
    throw new PageError('This is a PDF, and the extension reads web pages alone.');
  return textOf(page.html, page.url);
}

/** A text of the extension's own that states codes, so that the embedded model can be tried on any page. */
export async function readSample(): Promise<PageText> {
  const answer = await fetch(chrome.runtime.getURL('sample.txt'));
  return {
    title: 'A sample: from an inaugural address of 1825, with three codes added',
    text: await answer.text(),
  };
}
