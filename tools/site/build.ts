// npm run docs: the documentation site, in site/dist. `npm run docs -- --base /sub/path/ --out FOLDER` says otherwise.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../lab/root.ts';
import { fillMarkers } from '../../quality/report/tables.ts';
import { exampleConfig, linkPackage } from '../examples/build.ts';
import { writeApi } from './api.ts';
import { linked, pictureName } from './links.ts';
import { PAGES } from './pages.ts';
import { siteTables } from './tables.ts';

/** The site's Markdown, as VitePress reads it. */
const PREPARED = join(ROOT, '.cache/site');

/** Pictures that were drawn for the site become part of its pages, so that they follow its colours. */
function inlinePicture(path: string): string | null {
  if (!path.startsWith('site/pictures/') || !path.endsWith('.svg')) return null;
  return `\n<figure class="picture" tabindex="0">${readFileSync(join(ROOT, path), 'utf8').trim()}</figure>\n`;
}

/** Writes the Markdown of all pages but the API reference, and what they show. */
export function writePages(folder: string): void {
  const tables = siteTables();
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const { source, path } of PAGES) {
    if (source === null) continue;
    const text = fillMarkers(readFileSync(join(ROOT, source), 'utf8'), tables);
    const { markdown, pictures } = linked(source, text, inlinePicture);
    write(`${path}.md`, markdown);
    for (const picture of pictures)
      cpSync(join(ROOT, picture), join(folder, 'public/pictures', pictureName(picture)));
  }
}

/** Builds the example that the page of examples shows live, on the package that is built. */
async function writeLiveExample(folder: string): Promise<void> {
  linkPackage();
  const { build } = await import('vite');
  const config = exampleConfig(join(ROOT, 'examples/kernel'));
  await build({ ...config, build: { outDir: join(folder, 'public/examples/kernel'), emptyOutDir: true } });
}

/**
 * Builds the site.
 * @param base path at which it is served, with a slash at both ends
 * @param outDir where to; a relative path is of the repository
 */
export async function buildSite(base: string, outDir = 'site/dist'): Promise<void> {
  rmSync(PREPARED, { recursive: true, force: true });
  writePages(PREPARED);
  await writeApi(join(PREPARED, 'api'));
  await writeLiveExample(PREPARED);
  const { build } = await import('vitepress');
  await build(join(ROOT, 'site'), { base, outDir: resolve(ROOT, outDir) });
}

if (process.argv[1]?.endsWith('build.ts')) {
  const { values } = parseArgs({ options: { base: { type: 'string' }, out: { type: 'string' } } });
  const { base = '/', out } = values;
  if (!/^\/(.*\/)?$/.test(base)) throw new Error(`--base must begin and end with a slash: ${base}`);
  await buildSite(base, out);
}
