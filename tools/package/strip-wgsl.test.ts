import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import { BUFFERS, HEAD_STATE, PARAMS } from '../../src/kernel/text/schema.ts';
import { shortNamesOf } from './rename-wgsl.ts';
import { allShortNames, stripWgsl } from './strip-wgsl.ts';

const files = readdirSync(join(ROOT, 'wgsl'), { encoding: 'utf8', recursive: true }).filter((file) =>
  file.endsWith('.wgsl'),
);

test('comments, lines and spaces are left out', () => {
  expect(stripWgsl('// A comment.\n\nfn f(a: u32) -> u32 {\n  return a + 1u; // one more\n}\n')).toBe(
    'fn f(a:u32)->u32{return a+1u;}',
  );
});

test('what the assembler reads stays', () => {
  const loop = 'for (var j = 0u; j < N; j++) { // unroll';
  expect(stripWgsl(`// Constants: N, M\n  ${loop}\n  }\n}`)).toBe(`${loop}\n}}`);
});

test('operators that would read as another stay apart', () => {
  expect(stripWgsl('a = b - -c;')).toBe('a=b- -c;');
  expect(stripWgsl('a = b / *c;')).toBe('a=b/ *c;');
  expect(stripWgsl('var a: vec2<f32> = b;')).toBe('var a:vec2<f32> =b;');
  expect(stripWgsl('let a = &b;')).toBe('let a= &b;');
});

test('what the files declare gets short names, the same in all of them', () => {
  const files = [
    'fn total(values: ptr<function, Row>, step: u32) -> f32 { return length((*values).sum) + f32(step); }',
    'struct Row { sum: vec2f, kept: u32 }\n@compute @workgroup_size(64)\nfn main(@builtin(local_invocation_index) index: u32) { let length = total(&row, params.step); }',
  ];
  const names = shortNamesOf(files, "const PARAMS = ['step']; const kept = 1;");
  expect([...names.keys()].sort()).toEqual(['Row', 'index', 'sum', 'total', 'values']);
  expect(new Set(names.values()).size).toBe(5);
});

test('short names are those of nothing else', () => {
  const names = allShortNames();
  for (const name of [
    'main',
    ...Object.keys(BUFFERS),
    ...PARAMS.map(([it]) => it),
    ...HEAD_STATE.map(([it]) => it),
  ])
    expect(names.get(name), name).toBeUndefined();
  expect(names.size).toBeGreaterThan(200);
  const all = files.map((file) => readFileSync(join(ROOT, 'wgsl', file), 'utf8').replace(/\/\/.*$/gm, ''));
  const words = new Set(all.join('\n').match(/[A-Za-z_]\w*/g));
  expect([...names.values()].filter((name) => words.has(name))).toEqual([]);
  expect(new Set(names.values()).size).toBe(names.size);
});

/** The tokens of WGSL as the longest match finds them, without comments. */
function tokens(text: string): string[] {
  const code = text.replace(/\/\/.*$/gm, '');
  return code.match(/[A-Za-z_]\w*|\d[\w.]*|->|\+\+|--|&&|\|\||<<=?|>>=?|[-+*/=<>!&|^%]=?|\S/g) ?? [];
}

test.each(files.sort())('%s has the same tokens', (file) => {
  const text = readFileSync(join(ROOT, 'wgsl', file), 'utf8');
  expect(text).not.toContain('/*');
  expect(tokens(stripWgsl(text))).toEqual(tokens(text));
});
