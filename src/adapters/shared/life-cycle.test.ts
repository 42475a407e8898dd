import { describe, expect, test } from 'vitest';
import { SiftError } from '../../errors.ts';
import { LifeCycle } from './life-cycle.ts';

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof SiftError) return error.code;
  }
  return 'none';
};

/** A device that can be lost. */
function device(): { device: GPUDevice; lose(): Promise<void> } {
  let resolve: (info: object) => void = () => {};
  const lost = new Promise((done) => {
    resolve = done;
  });
  return {
    device: { lost } as unknown as GPUDevice,
    lose: async () => {
      resolve({ reason: 'unknown', message: 'pulled out' });
      await lost;
    },
  };
}

describe('LifeCycle', () => {
  test('a target has one life at a time, from the first moment of enabling to its end', () => {
    const target = {};
    const life = LifeCycle.begin(target, 'pipeline');
    expect(() => LifeCycle.begin(target, 'pipeline')).toThrow('earlier call');
    life.start();
    expect(() => LifeCycle.begin(target, 'pipeline')).toThrow('has sift already');
    life.dispose();
    LifeCycle.begin(target, 'pipeline').dispose();
  });

  test('goes on and off, and not on again once it is over', () => {
    const life = LifeCycle.begin({}, 'pipeline');
    life.disable();
    expect(life.state).toBe('enabling');
    life.start();
    life.disable();
    expect(life.state).toBe('off');
    life.enable();
    expect(life.state).toBe('on');
    life.dispose();
    life.disable();
    expect(life.state).toBe('disposed');
    expect(codeOf(() => life.enable())).toBe('DISPOSED');
  });

  test('what was set up is taken down in reverse, once, and what comes too late at once', () => {
    const done: string[] = [];
    const life = LifeCycle.begin({}, 'pipeline');
    life.defer(() => done.push('first'));
    life.defer(() => done.push('second'));
    life.dispose();
    life.dispose();
    life.defer(() => done.push('late'));
    expect(done).toEqual(['second', 'first', 'late']);
  });

  test('what it owns is freed when the work under way is over, also what comes after its end', async () => {
    const freed: string[] = [];
    const life = LifeCycle.begin({}, 'pipeline');
    let end = () => {};
    const work = life.during(async () => {
      life.own(() => freed.push('first'));
      await new Promise<void>((resolve) => {
        end = resolve;
      });
      life.own(() => freed.push('second'));
      expect(freed).toEqual([]);
    });
    life.dispose();
    end();
    await work;
    expect(freed).toEqual(['second', 'first']);
    life.own(() => freed.push('third'));
    expect(freed).toEqual(['second', 'first', 'third']);
  });

  test('work that fails is over, too', async () => {
    const freed: string[] = [];
    const life = LifeCycle.begin({}, 'pipeline');
    const work = life.during(async () => {
      life.own(() => freed.push('it'));
      life.dispose();
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(freed).toEqual(['it']);
  });

  test('a lost device: nothing is routed, and every call says so', async () => {
    const { device: gpu, lose } = device();
    const life = LifeCycle.begin({}, 'pipeline');
    life.watch(gpu);
    life.start();
    await lose();
    expect(life.state).toBe('lost');
    expect(life.lost?.message).toBe('pulled out');
    expect(codeOf(() => life.enable())).toBe('DEVICE_LOST');
    expect(codeOf(() => life.check())).toBe('DEVICE_LOST');
    life.disable();
    expect(life.state).toBe('lost');
    life.dispose();
    expect(life.state).toBe('disposed');
  });

  test('a failure while enabling is told as what ended the life, else as it is, always a SiftError', async () => {
    const own = new SiftError('SELF_TEST_FAILED', 'off');
    expect(LifeCycle.begin({}, 'pipeline').fail(own)).toBe(own);
    const raw = LifeCycle.begin({}, 'pipeline').fail(new Error('from the runtime')) as SiftError;
    expect([raw.code, raw.message]).toEqual([
      'UNSUPPORTED_MODEL',
      'Sift could not be enabled: from the runtime',
    ]);

    const disposed = LifeCycle.begin({}, 'pipeline');
    disposed.dispose();
    expect(disposed.fail(new Error('released'))).toMatchObject({ code: 'DISPOSED' });

    const { device: gpu, lose } = device();
    const lost = LifeCycle.begin({}, 'pipeline');
    lost.watch(gpu);
    await lose();
    expect(lost.fail(new Error('AbortError'))).toMatchObject({ code: 'DEVICE_LOST' });
  });

  test('a signal ends the enabling, takes everything down, and what it says is what is thrown', () => {
    const leaving = new AbortController();
    const target = {};
    const done: string[] = [];
    const life = LifeCycle.begin(target, 'pipeline', leaving.signal);
    life.defer(() => done.push('undone'));
    life.check();
    leaving.abort();
    expect(() => life.check()).toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(life.fail(new SiftError('UNSUPPORTED_MODEL', 'wrapped'))).toBe(leaving.signal.reason);
    expect([life.state, ...done]).toEqual(['disposed', 'undone']);
    LifeCycle.begin(target, 'pipeline').dispose();
  });

  test('once it is on, a signal does nothing', () => {
    const leaving = new AbortController();
    const life = LifeCycle.begin({}, 'pipeline', leaving.signal);
    life.start();
    leaving.abort();
    life.check();
    expect(life.state).toBe('on');
  });
});
