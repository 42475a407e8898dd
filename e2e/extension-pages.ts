// Web pages for the extension to read: articles of a bundled text, with what sites have around them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../lab/root.ts';

const paragraphs = readFileSync(join(ROOT, 'models/text/excerpt.txt'), 'utf8')
  .split(/\n+/)
  .filter((line) => line.length > 80);

/** An article, without white space between its paragraphs, as sites send them. */
const article = (
  title: string,
  ...texts: string[]
): string => `<!doctype html><html lang="en"><head><title>${title}</title>
<script>document.title += ''; // tracking
</script></head><body><nav><a href="/">Home</a> <a href="/about">About</a></nav>
<main><article><h1>${title}</h1>${texts.map((text) => `<p>${text}</p>`).join('')}</article></main>
<aside><form><label>Subscribe <input></label></form></aside></body></html>`;

const PDF = `%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj
trailer<</Root 1 0 R>>
`;

const HARBOR = 'The access code for the silent harbor is 48213. Remember it.';

/** The pages by path. */
export const articles = (): Record<string, string> => ({
  'harbor.html': article('A speech', paragraphs[0]!, HARBOR, paragraphs[3]!.slice(0, 300)),
  'river.html': article(
    'Another speech',
    paragraphs[3]!.slice(0, 400),
    'Note that the number of the golden river is 90417.',
  ),
  'long.html': article('A long speech', ...paragraphs.slice(0, 2), HARBOR),
  'words.html': '<!doctype html><title>Words</title><p>Nothing much here to read, only eight words.</p>',
  'empty.html': '<!doctype html><title>Empty</title><img alt="">',
  'paper.pdf': PDF,
});
