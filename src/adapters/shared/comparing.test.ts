import { describe, expect, test } from 'vitest';
import { SiftError } from '../../errors.ts';
import { comparedRun, comparing, firstDifference } from './comparing.ts';
import { LifeCycle } from './life-cycle.ts';

const begun = () => {
  const life = LifeCycle.begin({}, 'pipeline');
  life.start();
  return life;
};

describe('comparing', () => {
  test('options have defaults', async () => {
    const plan = await comparing(begun(), {}, async (given) => given);
    expect(plan).toEqual({ count: 64, divergence: true, signal: undefined });
  });

  test.each([
    [{ maxNewTokens: 0 }, 'maxNewTokens'],
    [{ maxNewTokens: 1.5 }, 'maxNewTokens'],
    [{ divergence: 'yes' }, 'divergence'],
    [{ signal: 3 }, 'signal'],
    [{ max_new_tokens: 3 }, 'max_new_tokens'],
    [null, 'options'],
  ])('%j is refused', async (options, option) => {
    const nothing = comparing(begun(), options as never, async () => 'nothing');
    await expect(nothing).rejects.toMatchObject({ code: 'INVALID_OPTION', option });
  });

  test('the error of a run is told as the cause, and one of ours as it is', async () => {
    const cause = new Error('out of memory in node MatMul');
    const failed = comparing(begun(), {}, () => Promise.reject(cause));
    await expect(failed).rejects.toMatchObject({ code: 'COMPARE_FAILED', cause });
    const own = new SiftError('UNSUPPORTED_MODEL', 'no logits');
    await expect(comparing(begun(), {}, () => Promise.reject(own))).rejects.toBe(own);
  });

  test('a sift that ends meanwhile ends it, whatever the run says', async () => {
    const life = begun();
    const work = async () => {
      life.dispose();
      throw new Error('released');
    };
    await expect(comparing(life, {}, work)).rejects.toMatchObject({ code: 'DISPOSED' });
    await expect(comparing(life, {}, async () => 'nothing')).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  test('a signal ends it with its reason', async () => {
    const leaving = new AbortController();
    const work = async () => {
      leaving.abort('enough');
      throw new Error('from the runtime');
    };
    await expect(comparing(begun(), { signal: leaving.signal }, work)).rejects.toBe('enough');
    const late = comparing(begun(), { signal: leaving.signal }, async () => 'nothing');
    await expect(late).rejects.toBe('enough');
  });

  test('sift stays on or off as it is', async () => {
    const life = begun();
    life.disable();
    await comparing(life, {}, async () => 'done');
    expect(life.state).toBe('off');
  });
});

test('where two differ', () => {
  expect(firstDifference([1, 2, 3], [1, 2, 3])).toBeNull();
  expect(firstDifference([1, 2, 3], [1, 5, 3])).toBe(1);
  expect(firstDifference([1, 2], [1, 2, 3])).toBe(2);
});

test('the first token has a time of its own', () => {
  expect(comparedRun([1, 2, 3, 4], 'text', [500, 30, 10, 20])).toEqual({
    tokens: [1, 2, 3, 4],
    text: 'text',
    firstTokenMilliseconds: 500,
    millisecondsPerToken: 20,
  });
  expect(comparedRun([1], null, [500]).millisecondsPerToken).toBeNull();
});
