// Links as they are in the repository, which its readers follow there, become links of the site.
import { existsSync } from 'node:fs';
import { join, posix } from 'node:path';
import { ROOT } from '../../lab/root.ts';
import { PAGES } from './pages.ts';

/** Where files of the repository are shown that are no pages of the site. A placeholder until the repository is public. */
export const REPOSITORY = 'https://github.com/sift-attention/sift-attention/blob/main';

/** Where a Markdown link of a file goes: to a site of its own, or to a file of the repository. */
interface Target {
  /** Path in the repository; an empty text: the repository itself. */
  path: string;
  /** With its `#`. */
  anchor: string;
}

/** Where a link leads within the repository; null: out of it, or within its own page. */
function targetOf(source: string, link: string): Target | null {
  if (/^(\w+:|#|\/)/.test(link)) return null;
  const [path = '', anchor] = link.split('#');
  const found = posix.normalize(posix.join(posix.dirname(source), path)).replace(/\/$/, '');
  if (!existsSync(join(ROOT, found)))
    throw new Error(`${source} links to ${link}, but there is no ${found} in the repository.`);
  return { path: found, anchor: anchor === undefined ? '' : `#${anchor}` };
}

/** The name of a picture among the files that the site gives out as they are. */
export const pictureName = (path: string): string => path.replaceAll('/', '-');

/** What a page's text becomes on the site. */
export interface Linked {
  markdown: string;
  /** Paths of pictures that it shows. */
  pictures: string[];
}

/** Code, which stays as it is, or a link: whichever comes first. A link's text may have code in it. */
const CODE_OR_LINK = /^```[\s\S]*?^```$|`[^`\n]+`|(!?)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/gm;

/**
 * Rewrites the links of a page.
 * @param source path of the page's file in the repository, which its links are relative to
 * @param inline gives the text of a picture that becomes part of the page, by its path; null: it is shown as a file
 * @throws {Error} if a link leads to nothing
 */
export function linked(source: string, markdown: string, inline: (path: string) => string | null): Linked {
  const pictures: string[] = [];
  const rewrite = (whole: string, bang?: string, text?: string, link?: string): string => {
    if (link === undefined) return whole;
    const target = targetOf(source, link);
    if (!target) return whole;
    if (bang) {
      const picture = inline(target.path);
      if (picture !== null) return picture;
      pictures.push(target.path);
      return `![${text}](/pictures/${pictureName(target.path)})`;
    }
    const page = PAGES.find((page) => page.source === target.path);
    if (page) return `[${text}](/${page.path}${target.anchor})`;
    return `[${text}](${REPOSITORY}/${target.path}${target.anchor})`;
  };
  return { markdown: markdown.replace(CODE_OR_LINK, rewrite), pictures: [...new Set(pictures)] };
}
