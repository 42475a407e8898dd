// What the documentation says, held against what it is about.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import { writePages } from './build.ts';
import { linked, REPOSITORY } from './links.ts';
import { PAGES, sources } from './pages.ts';
import { filledReadme } from './readme.ts';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const readme = read('README.md');
const manifest = JSON.parse(read('package.json'));

/** TypeScript files of a folder of the repository. */
const code = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !/testing|\.test(-d)?\.ts$/.test(name))
    .map((name) => read(join(folder, name)));

describe('the pages', () => {
  let folder: string;
  beforeAll(() => {
    mkdirSync(join(ROOT, '.cache'), { recursive: true });
    folder = mkdtempSync(join(ROOT, '.cache/pages-'));
    // Fails on a link that leads to nothing in the repository.
    writePages(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('are all in the menu, once', () => {
    const listed = PAGES.map(({ source }) => source).filter((source) => source !== null);
    expect([...new Set(listed)]).toEqual(listed);
    expect(listed.filter((source) => source !== 'bench/README.md').sort()).toEqual(sources().sort());
  });

  test('have no table that is left empty, and no link that is still of the repository', () => {
    for (const { source, path } of PAGES) {
      if (source === null) continue;
      const markdown = readFileSync(join(folder, `${path}.md`), 'utf8');
      expect(markdown, source).not.toMatch(/<!-- table:[\w-]+ -->\s*<!-- \/table -->/);
      expect(markdown.replace(/```[\s\S]*?```|`[^`\n]*\]\([^`\n]*`/g, ''), source).not.toMatch(
        /\]\((?!https?:|\/|#)/,
      );
    }
  });

  test('have a section for each code of an error', () => {
    const union = /export type SiftErrorCode =([^;]+);/.exec(read('src/errors.ts'))![1]!;
    const codes = [...union.matchAll(/'(\w+)'/g)].map((match) => match[1]!);
    const sections = [...read('site/errors.md').matchAll(/^## ([A-Z_]+)$/gm)].map((match) => match[1]!);
    expect(codes.length).toBeGreaterThan(5);
    expect(sections.sort()).toEqual(codes.sort());
  });

  test('name every option', () => {
    const options = /const NAMES[^=]*= \[([^\]]+)\]/.exec(read('src/options.ts'))![1]!;
    const names = [...options.matchAll(/'(\w+)'/g)].map((match) => match[1]!);
    const rows = [...read('site/options.md').matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]!);
    expect(rows.sort()).toEqual(names.sort());
  });
});

describe('links', () => {
  const none = () => null;
  test('to pages become those of the site, to files those of the repository', () => {
    const text =
      '[`a`](../docs/kernel.md#splits) [b](../src/index.ts) [c](https://x.example) [d](#e) `[f](g)`';
    expect(linked('site/start.md', text, none).markdown).toBe(
      `[\`a\`](/internals/kernel#splits) [b](${REPOSITORY}/src/index.ts) [c](https://x.example) [d](#e) \`[f](g)\``,
    );
  });
  test('to pictures are those of files, or the picture itself', () => {
    const text = '![a](kernel-lanes.svg)';
    expect(linked('docs/kernel.md', text, none)).toEqual({
      markdown: '![a](/pictures/docs-kernel-lanes.svg)',
      pictures: ['docs/kernel-lanes.svg'],
    });
    expect(linked('docs/kernel.md', text, () => '<svg/>').markdown).toBe('<svg/>');
  });
  test('to nothing are errors', () => {
    expect(() => linked('site/start.md', '[a](nothing.md)', none)).toThrow(
      'site/start.md links to nothing.md, but there is no site/nothing.md in the repository.',
    );
  });
});

describe('the README', () => {
  test('has the figures of the results (npm run docs:readme)', () => {
    expect(readme).toBe(filledReadme());
  });
  test('has less than 700 words', () => {
    expect(readme.split(/\s+/).filter(Boolean).length).toBeLessThan(700);
  });
  test('has the two commands', () => {
    expect(readme).toContain('npm start');
    expect(readme).toContain('npm test');
  });
  test('has no relative link, and its others lead to files and pages', () => {
    const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1]!);
    const raw = REPOSITORY.replace('github.com', 'raw.githubusercontent.com').replace('/blob', '');
    expect(links.length).toBeGreaterThan(10);
    for (const link of links) {
      expect(link).toMatch(/^https:\/\//);
      const file = [REPOSITORY, raw].find((base) => link.startsWith(`${base}/`));
      if (file) expect(existsSync(join(ROOT, link.slice(file.length))), link).toBe(true);
      if (!link.startsWith(manifest.homepage)) continue;
      const path = link.slice(manifest.homepage.length).replace(/\.html(#.*)?$/, '');
      expect(PAGES.map((page) => page.path)).toContain(path);
    }
  });
});

describe('what is said of the package', () => {
  test('its placeholders are the same everywhere', () => {
    const [, repository] = /^git\+(.*)\.git$/.exec(manifest.repository.url)!;
    expect(`${repository}/blob/main`).toBe(REPOSITORY);
    const citation = read('CITATION.cff');
    expect(citation).toContain(`repository-code: ${repository}\n`);
    expect(citation).toContain(`url: ${manifest.homepage}\n`);
    expect(citation).toContain(`version: ${manifest.version}\n`);
    for (const page of ['README.md', 'site/start.md'])
      expect(read(page)).toContain(`sift-attention@${manifest.version}/dist/index.js`);
  });

  test('it makes no request, and no code of text (SECURITY.md)', () => {
    const files = code('src');
    expect(files.length).toBeGreaterThan(100);
    const forbidden =
      /\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|\beval\(|new Function|importScripts|console\./;
    for (const file of files) expect(file.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')).not.toMatch(forbidden);
  });

  test('it stores what SECURITY.md names, and nothing else', () => {
    const stores = code('src').filter((file) =>
      /indexedDB\.open|localStorage\.setItem|caches\.open/.test(file),
    );
    expect(stores).toHaveLength(1);
    const [database, store] = [...stores[0]!.matchAll(/const (?:DATABASE|STORE) = '([^']+)'/g)].map(
      (match) => match[1],
    );
    expect(read('SECURITY.md')).toContain(`the database \`${database}\` with the store \`${store}\``);
  });
});
