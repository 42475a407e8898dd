import { expect, test } from 'vitest';
import { isRenamed, rolePeriods } from './buffer-roles.ts';
import type { StepCalls } from './webgpu-call.ts';

/** A step that clears buffers one after another. */
const step = (...buffers: number[]): StepCalls => ({
  length: 10,
  calls: buffers.map((buffer) => ({ kind: 'clearBuffer', buffer, offset: 0, size: undefined })),
});

test.each([
  ['the same buffers', [1, 2, 1], [1, 2, 1], true],
  ['two buffers in each other’s place', [1, 2, 1], [2, 1, 2], true],
  ['a new buffer', [1, 2, 1], [1, 3, 1], true],
  ['a buffer of two roles is two now', [1, 2, 1], [1, 2, 3], false],
  ['two buffers are one now', [1, 2, 3], [1, 2, 1], false],
  ['another number of roles', [1, 2], [1], false],
])('%s', (_, a, b, expected) => {
  expect(isRenamed(step(...a), step(...b))).toBe(expected);
});

test('each role has the period of its own; new buffers have none', () => {
  const steps = Array.from({ length: 12 }, (_, i) => step(7, i % 2, 10 + (i % 3), 100 + i));
  const { counts, none, common } = rolePeriods(steps);
  expect([...counts]).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
  expect({ none, common }).toEqual({ none: 1, common: 6 });
});
