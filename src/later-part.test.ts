import { expect, test } from 'vitest';
import { LaterPart } from './later-part.ts';

test('a part is loaded once, when it is asked for', async () => {
  let loads = 0;
  const part = new LaterPart('The part', async () => ++loads);
  expect(part.part).toBeUndefined();
  expect([await part.get(), await part.get(), part.part]).toEqual([1, 1, 1]);
});

test('a part that is at hand is never loaded', async () => {
  const part = new LaterPart<string>('The part', () => Promise.reject(new Error('asked for')));
  part.part = 'here';
  expect(await part.get()).toBe('here');
});

test('a part that cannot be loaded says what to do, and is tried again', async () => {
  const cause = new TypeError('import() is disallowed');
  let fails = true;
  const part = new LaterPart('The part', async () => {
    if (fails) throw cause;
    return 'here';
  });
  await expect(part.get()).rejects.toMatchObject({
    code: 'UNSUPPORTED_RUNTIME',
    message: expect.stringMatching(
      /^The part could not be loaded\. .* import from 'sift-attention\/transformers'/,
    ),
    cause,
  });
  fails = false;
  expect(await part.get()).toBe('here');
});
