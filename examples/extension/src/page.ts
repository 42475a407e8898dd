// The text of the page that the panel belongs to.
import { Readability } from '@mozilla/readability';
import type { PageText } from './protocol.ts';

/** A page that cannot be read, in words for the user. */
export class PageError extends Error {}

/** Text without the markup's indentation. Paragraphs stay apart. */
const tidy = (text: string) =>
  text
    .replace(/[^\S\n]+/g, ' ')
    .replace(/ ?\n ?/g, '\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();

/** The article of a document, or all of its text where there is no article. */
export function textOf(html: string, url: string): PageText {
  const parsed = new DOMParser().parseFromString(html, 'text/html');
  const base = parsed.createElement('base');
  base.href = url;
  parsed.head.prepend(base);
  for (const element of parsed.querySelectorAll('script, style, noscript, template')) element.remove();
  const title = parsed.title.trim();
  const all = tidy(parsed.body.textContent ?? '');
  const article = new Readability(parsed).parse();
  const text = tidy(article?.textContent ?? '') || all;
  if (!text) throw new PageError('There is no text on this page.');
  return { title: article?.title?.trim() || title || new URL(url).hostname, text };
}

/** Reads the page of a tab. The user's click on the extension's icon has given leave to, until the tab goes to another site. */
export async function readPage(tabId: number): Promise<PageText> {
  const results = await chrome.scripting
    .executeScript({
      target: { tabId },
      func: () => ({ html: document.documentElement.outerHTML, url: location.href }),
    })
    .catch((error: Error) => {
      throw new PageError(
        `The browser does not let the extension read this page. Click the extension's icon on it once more. Pages of the browser itself and of its store can't be read at all. (${error.message})`,
      );
    });
  const page = results[0]?.result;
  if (!page) throw new PageError('The page did not answer.');
  return textOf(page.html, page.url);
}
