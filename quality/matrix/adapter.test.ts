import { expect, test } from 'vitest';
import { checkVendor } from './adapter.ts';

test('an adapter of another vendor than was asked for ends the run', () => {
  expect(() => checkVendor(['nvidia hopper', 'google swiftshader'], 'nvidia')).toThrow(
    'The adapter is "google swiftshader"',
  );
  expect(() => checkVendor(['nvidia-like hopper'], 'nvidia')).toThrow('nvidia-like');
});

test('the right one, a page without a model, and no wish', () => {
  expect(() => checkVendor(['nvidia hopper', ''], 'nvidia')).not.toThrow();
  expect(() => checkVendor(['google swiftshader'], null)).not.toThrow();
});
