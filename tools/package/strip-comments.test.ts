import { expect, test } from 'vitest';
import { stripComments } from './strip-comments.ts';

test('comments are left out, and lines and columns stay', () => {
  const text = stripComments('a.ts', '/**\n * What it is.\n */\nconst a = 1; // one\nconst b = 2;\n');
  expect(text.split('\n').map((line) => line.trimEnd())).toEqual([
    '',
    '',
    '',
    'const a = 1;',
    'const b = 2;',
    '',
  ]);
});

test('texts that look like comments stay, and so do comments that tools read', () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is code
  const code = "const url = 'https://a.example'; const f = /* @__PURE__ */ g(`// ${url}`);";
  expect(stripComments('a.ts', code)).toBe(code);
});

test('what stands behind a comment on the same line keeps its column', () => {
  expect(stripComments('a.ts', 'f(/* first */ 1);')).toBe('f(            1);');
});
