import { defineConfig } from 'vitepress';
import { SECTIONS } from '../../tools/site/pages.ts';

/** Tables scroll sideways on narrow screens, which must work with a keyboard, too. */
interface Markdown {
  renderer: { rules: Record<string, unknown> };
}
function scrollableTables(md: Markdown): void {
  md.renderer.rules.table_open = () => '<table tabindex="0">\n';
}

/** Anchors as GitHub makes them, so that a link works there and here. */
const slugify = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');

export default defineConfig({
  title: 'sift-attention',
  description: 'Faster long-context decoding for language models in the browser.',
  lang: 'en',
  // tools/site/build.ts writes them, of the pages in this folder and in docs.
  srcDir: '../.cache/site',
  cacheDir: '../.cache/vitepress',
  cleanUrls: false,
  lastUpdated: false,
  head: [
    ['link', { rel: 'icon', href: 'data:,' }],
    ['meta', { name: 'color-scheme', content: 'light dark' }],
  ],
  markdown: {
    anchor: { slugify },
    // The usual themes are too pale on VitePress's grounds (WCAG AA).
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    config: (md) => scrollableTables(md as unknown as Markdown),
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    nav: [
      { text: 'Start', link: '/start' },
      { text: 'Performance', link: '/performance' },
      { text: 'API', link: '/api/index' },
    ],
    sidebar: SECTIONS.map(({ text, pages }) => ({
      text,
      items: pages.map((page) => ({ text: page.text, link: `/${page.path}` })),
    })),
    socialLinks: [{ icon: 'github', link: 'https://github.com/sift-attention/sift-attention' }],
    footer: { message: 'Apache-2.0' },
  },
  vite: { build: { chunkSizeWarningLimit: 4000 } },
});
