import { expect, test } from 'vitest';
import { unroll } from './unroll.ts';

const flat = (code: string) => code.replace(/\s+/g, ' ').trim();

test('a marked loop becomes blocks with a constant each, also inside another', () => {
  const code = `a;
for (var j = 0u; j < N; j++) { // unroll
  b[j];
  for (var h = 0u; h < 2u * M; h++) { // unroll
    if (x) { c[j * 2u + h]; }
  }
}
d;`;
  const inner = (j: number) =>
    `{ const j = ${j}u; b[j]; { const h = 0u; if (x) { c[j * 2u + h]; } } { const h = 1u; if (x) { c[j * 2u + h]; } } }`;
  expect(flat(unroll(code, { N: 2, M: 1 }))).toBe(`a; ${inner(0)} ${inner(1)} d;`);
});

test('other loops stay', () => {
  const code = 'for (var i = lid; i < N; i += WG) { a[i]; }\nfor (var j = 0u; j < N; j++) { b[j]; }\n';
  expect(unroll(code, { N: 2 })).toBe(code);
});

test('an unknown bound or an open loop is an error', () => {
  expect(() => unroll('for (var j = 0u; j < K; j++) { // unroll\n a; }', {})).toThrow('K');
  expect(() => unroll('for (var j = 0u; j < 2u; j++) { // unroll\n a;', {})).toThrow('closed');
  expect(() => unroll('for (var j = 0u; j < 2u; j++) { a; } // unroll', {})).toThrow('form');
});
