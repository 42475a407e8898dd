// Plain text out of documentation that a package holds.

/** Lines that are drawn rather than written: tables, lists of contents, rules. */
const DRAWN = /^\s*[|+]|\.{4}|_{4}|-{6}|={6}/;

/** A paragraph of running text: enough words, most of its characters letters. */
function isProse(paragraph: string): boolean {
  const letters = paragraph.match(/\p{L}/gu)?.length ?? 0;
  return paragraph.length >= 120 && letters >= 0.7 * paragraph.length;
}

/** The paragraphs of running text of a manual that was printed as plain text, each on one line. */
export function prose(text: string): string {
  return text
    .split(/\n\s*\n/)
    .filter((paragraph) => !paragraph.split('\n').some((line) => DRAWN.test(line)))
    .map((paragraph) => paragraph.trim().replace(/\s+/g, ' '))
    .filter(isProse)
    .join('\n\n');
}

/** A text in `count` documents of about the same size, cut where a paragraph ends. */
export function documents(text: string, count: number): string[] {
  const found: string[] = [];
  let rest = text;
  for (let left = count; left > 1; left--) {
    const cut = rest.indexOf('\n\n', Math.floor(rest.length / left));
    if (cut < 0) break;
    found.push(rest.slice(0, cut));
    rest = rest.slice(cut + 2);
  }
  return [...found, rest];
}
