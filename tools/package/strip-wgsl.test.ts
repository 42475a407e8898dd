import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import { stripWgsl } from './strip-wgsl.ts';

test('comments, indentation, blank lines and spaces are left out', () => {
  expect(stripWgsl('// A comment.\n\nfn f(a: u32) -> u32 {\n  return a + 1u; // one more\n}\n')).toBe(
    'fn f(a:u32)->u32{\nreturn a+1u;\n}',
  );
});

test('what the assembler reads stays', () => {
  const loop = 'for (var j = 0u; j < N; j++) { // unroll';
  expect(stripWgsl(`// Constants: N, M\n  ${loop}\n  }`)).toBe(`// Constants: N, M\n${loop}\n}`);
});

test('operators that would read as another stay apart', () => {
  expect(stripWgsl('a = b - -c;')).toBe('a=b- -c;');
  expect(stripWgsl('a = b / *c;')).toBe('a=b/ *c;');
  expect(stripWgsl('var a: vec2<f32> = b;')).toBe('var a:vec2<f32> =b;');
  expect(stripWgsl('let a = &b;')).toBe('let a= &b;');
});

/** The tokens of WGSL as the longest match finds them, without comments. */
function tokens(text: string): string[] {
  const code = text.replace(/\/\/.*$/gm, '');
  return code.match(/[A-Za-z_]\w*|\d[\w.]*|->|\+\+|--|&&|\|\||<<=?|>>=?|[-+*/=<>!&|^%]=?|\S/g) ?? [];
}

const files = readdirSync(join(ROOT, 'wgsl'), { encoding: 'utf8', recursive: true }).filter((file) =>
  file.endsWith('.wgsl'),
);

test.each(files.sort())('%s has the same tokens', (file) => {
  const text = readFileSync(join(ROOT, 'wgsl', file), 'utf8');
  expect(text).not.toContain('/*');
  expect(tokens(stripWgsl(text))).toEqual(tokens(text));
});
