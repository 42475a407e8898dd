// Which pages the site has, in the order of its menu.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../lab/root.ts';

/** A page, and the Markdown file of the repository that it is made of. */
export interface SitePage {
  /** As the menu calls it. */
  text: string;
  /** Path in the repository; null: the page is made by TypeDoc. */
  source: string | null;
  /** Path on the site without a suffix. */
  path: string;
}

/** A part of the menu. */
export interface Section {
  text: string;
  pages: readonly SitePage[];
}

const page = (text: string, source: string, path: string): SitePage => ({ text, source, path });
const own = (text: string, name: string) => page(text, `site/${name}.md`, name);
const deep = (text: string, name: string) => page(text, `docs/${name}.md`, `internals/${name}`);
const api = (text: string, name: string): SitePage => ({ text, source: null, path: `api/${name}` });

/** The first page has no place in the menu. */
export const HOME = page('sift-attention', 'site/index.md', 'index');

export const SECTIONS: readonly Section[] = [
  {
    text: 'Use it',
    pages: [
      own('Start', 'start'),
      own('Examples', 'examples'),
      own('How it works, in pictures', 'how-it-works'),
      own('Options and presets', 'options'),
      own('Reading the report', 'report'),
      own('Errors and what to do', 'errors'),
      own('web-llm', 'web-llm'),
      own('The kernel alone', 'kernel'),
    ],
  },
  {
    text: 'Decide',
    pages: [
      own('Performance', 'performance'),
      own('Quality', 'quality'),
      own('Models and runtimes', 'models'),
      own('Browsers and devices', 'devices'),
      own('A/B in your app', 'ab'),
      own('Which for what', 'alternatives'),
      own('The paper and what we see', 'paper'),
    ],
  },
  {
    text: 'API reference',
    pages: [
      api('sift-attention', 'index'),
      api('sift-attention/transformers', 'transformers'),
      api('sift-attention/web-llm', 'web-llm'),
      api('sift-attention/kernel', 'kernel'),
    ],
  },
  {
    text: 'Internals',
    pages: [
      own('How it is built', 'structure'),
      page('Adding a runtime, kernel or policy', 'docs/adding.md', 'adding'),
      deep('Glossary', 'glossary'),
      deep('A decode step on the GPU', 'kernel'),
      deep('The crossover', 'crossover'),
      deep('In transformers.js', 'adapter'),
      deep('In web-llm', 'adapter-web-llm'),
      deep('Models, in full', 'models'),
      deep('Quality, in full', 'quality'),
      deep('Trust', 'trust'),
      deep('Faults', 'trust-faults'),
      page('Running the benchmarks', 'bench/README.md', 'internals/bench'),
    ],
  },
  {
    text: 'Lab notes',
    pages: [
      deep('Kernels', 'lab/kernels'),
      deep('The shadow of K', 'lab/shadow'),
      deep('Slower memory', 'lab/bandwidth'),
      deep('Crossover', 'lab/crossover'),
      deep('Adapters', 'lab/adapters'),
      deep('The whole step', 'lab/step'),
      deep('Encoding a step', 'lab/encoding'),
    ],
  },
];

export const PAGES: readonly SitePage[] = [HOME, ...SECTIONS.flatMap(({ pages }) => pages)];

/** Markdown files that belong on the site, so that none is forgotten. */
export const sources = (): string[] =>
  ['site', 'docs', 'docs/lab'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`),
  );
