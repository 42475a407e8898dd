import { expect, test } from 'vitest';
import { LifeCycle } from '../shared/life-cycle.ts';
import type { OrtSession, OrtTensor } from './runtime.ts';
import { SessionHook } from './session-hook.ts';

/** A session, and a library that runs it some time after it was asked to. */
function stage() {
  const done: string[] = [];
  const session = {
    run: async () => {
      done.push('run');
      return {};
    },
    release: async () => void done.push('released'),
  };
  const own = { ...session };
  const life = LifeCycle.begin(session, 'pipeline');
  const hook = new SessionHook(session as unknown as OrtSession, life);
  const mark = {} as OrtTensor;
  let begin = () => {};
  const turn = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const forward = async () => {
    await turn;
    return (session.run as (feeds: object) => Promise<object>)({ input_ids: mark });
  };
  return { done, session, own, life, hook, mark, begin, forward };
}

test('a session that is released before the plugin’s run has begun is not run any more', async () => {
  const { done, session, own, hook, mark, begin, forward } = stage();
  const work = hook
    .turn(forward, [mark], async () => void done.push('work'))
    .catch(({ code }: { code: string }) => code);
  const released = session.release();
  await Promise.resolve();
  expect(done).toEqual([]);
  begin();
  expect(await work).toBe('DISPOSED');
  await released;
  expect(done).toEqual(['released']);
  expect(session.run).toBe(own.run);
  expect(session.release).toBe(own.release);
});

test('a session that is released during the plugin’s run is released after it', async () => {
  const { done, session, own, hook, mark, begin, forward } = stage();
  let finish = () => {};
  const work = hook
    .turn(forward, [mark], async (feeds) => {
      await hook.trial(feeds);
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
    })
    .catch(({ code }: { code: string }) => code);
  begin();
  await new Promise((resolve) => setTimeout(resolve));
  const released = session.release();
  await new Promise((resolve) => setTimeout(resolve));
  expect(done).toEqual(['run']);
  finish();
  expect(await work).toBe('DISPOSED');
  await released;
  expect(done).toEqual(['run', 'released']);
  expect(session.run).toBe(own.run);
});
