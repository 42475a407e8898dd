import { describe, expect, it } from 'vitest';
import { SessionTracker } from '../oracle/index.ts';
import { learnedPolicy, uniformPolicy } from '../policy/index.ts';

const SHAPE = { layers: 2, batch: 2, queryHeads: 3 };
const HEADS = 6;

/** Runs `steps` decode steps after the current length; head i of layer l observes the level -(10 l + i + 1). */
function decode(session: SessionTracker, steps: number) {
  for (let n = 0; n < steps; n++) {
    const { length } = session.begin(1, session.current.length);
    for (let layer = 0; layer < SHAPE.layers; layer++) {
      const levels = Array.from({ length: HEADS }, (_, i) => -(10 * layer + i + 1) - Math.log(length));
      session.observe(layer, levels);
    }
  }
}

describe('decode steps', () => {
  it('count from the prompt', () => {
    const session = new SessionTracker(learnedPolicy(), SHAPE);
    expect(session.begin(100, 0)).toEqual({ decode: false, step: 0, length: 100 });
    expect(session.begin(1, 100)).toEqual({ decode: true, step: 1, length: 101 });
    expect(session.begin(1, 101)).toEqual({ decode: true, step: 2, length: 102 });
    expect(session.current.step).toBe(2);
  });

  it('do not include one token on an empty past', () => {
    const session = new SessionTracker(learnedPolicy(), SHAPE);
    expect(session.begin(1, 0)).toEqual({ decode: false, step: 0, length: 1 });
    expect(session.begin(1, 1)).toEqual({ decode: true, step: 1, length: 2 });
  });

  it('do not include a last chunk of one token that is said to be prompt', () => {
    const session = new SessionTracker(learnedPolicy(), SHAPE);
    session.begin(64, 0);
    expect(session.begin(64, 64)).toMatchObject({ decode: false, step: 0 });
    expect(session.begin(1, 128, { prefill: true })).toEqual({ decode: false, step: 0, length: 129 });
    expect(session.begin(1, 129)).toMatchObject({ decode: true, step: 1 });
  });

  it('refuses counts that cannot be', () => {
    const session = new SessionTracker(learnedPolicy(), SHAPE);
    expect(() => session.begin(0, 5)).toThrow(expect.objectContaining({ option: 'newTokens' }));
    expect(() => session.begin(1, -1)).toThrow(expect.objectContaining({ option: 'pastLength' }));
    expect(() => new SessionTracker(learnedPolicy(), { ...SHAPE, layers: 0 })).toThrow(
      expect.objectContaining({ option: 'layers' }),
    );
  });
});

describe('heads', () => {
  it('learn each their own level, in [batch, queryHeads] order', () => {
    const session = new SessionTracker(learnedPolicy({ warmup: 4 }), SHAPE);
    session.begin(100, 0);
    expect(session.wantsObservation).toBe(false);
    decode(session, 3);
    expect(session.wantsObservation).toBe(true);
    decode(session, 1);
    expect(session.begin(1, 104).step).toBe(5);
    expect(session.wantsObservation).toBe(false);
    for (let layer = 0; layer < SHAPE.layers; layer++) {
      const expected = Array.from({ length: HEADS }, (_, i) => -(10 * layer + i + 1) - Math.log(105));
      expect(Array.from(session.logThresholds(layer))).toEqual(expected.map((v) => expect.closeTo(v, 10)));
    }
    expect(session.tracker(1, 1, 2).fit?.logAlpha).toBeCloseTo(-16, 10);
  });

  it('are guarded one by one', () => {
    const session = new SessionTracker(learnedPolicy({ warmup: 4 }), SHAPE);
    session.begin(100, 0);
    decode(session, 4);
    for (let n = 0; n < 17; n++) {
      session.begin(1, session.current.length);
      session.observeMass(0, [0.9, 0.9, 0.1, 0.9, 0.9, 0.9]);
    }
    session.begin(1, session.current.length);
    const dense = Array.from(session.logThresholds(0), (v) => v === -Infinity);
    expect(dense).toEqual([false, false, true, false, false, false]);
    expect(session.tracker(0, 0, 2).guarded).toBe('kept-mass');
    expect(session.tracker(1, 0, 2).guarded).toBeUndefined();
  });

  it('do not take dense steps of the warm-up for kept masses', () => {
    const session = new SessionTracker(learnedPolicy({ warmup: 4 }), SHAPE);
    session.begin(100, 0);
    session.begin(1, 100);
    session.observeMass(0, Array(HEADS).fill(1));
    expect(session.tracker(0, 0, 0).keptMass).toBeNaN();
  });

  it('are checked by index and number', () => {
    const session = new SessionTracker(learnedPolicy(), SHAPE);
    expect(() => session.logThresholds(2)).toThrow(expect.objectContaining({ option: 'layer' }));
    expect(() => session.tracker(0, 2, 0)).toThrow(expect.objectContaining({ option: 'batch' }));
    expect(() => session.tracker(0, 0, 3)).toThrow(expect.objectContaining({ option: 'queryHead' }));
    expect(() => session.observe(0, [1])).toThrow(expect.objectContaining({ option: 'logThresholds' }));
    expect(() => session.observeMass(0, [1])).toThrow(expect.objectContaining({ option: 'masses' }));
  });
});

describe('starting over', () => {
  const warm = () => {
    const session = new SessionTracker(learnedPolicy({ warmup: 4 }), SHAPE);
    session.begin(100, 0);
    decode(session, 6);
    expect(session.logThresholds(0)[0]).toBeGreaterThan(-Infinity);
    return session;
  };
  const forgotten = (session: SessionTracker) => session.tracker(0, 0, 0).fit === undefined;

  it('comes with a new cache', () => {
    const session = warm();
    session.begin(100, 0);
    expect(forgotten(session)).toBe(true);
  });

  it('comes with another prompt on the same cache', () => {
    const session = warm();
    expect(session.begin(30, 106)).toEqual({ decode: false, step: 0, length: 136 });
    expect(forgotten(session)).toBe(true);
    expect(session.begin(1, 136).step).toBe(1);
  });

  it.each([50, 105, 107])('comes with a past of %i that does not continue the last pass', (past) => {
    const session = warm();
    expect(session.begin(1, past)).toEqual({ decode: true, step: 1, length: past + 1 });
    expect(forgotten(session)).toBe(true);
  });

  it('comes with reset, and not from going on', () => {
    const session = warm();
    session.begin(1, 106);
    expect(forgotten(session)).toBe(false);
    session.reset();
    expect(session.current).toEqual({ decode: false, step: 0, length: 0 });
    expect(forgotten(session)).toBe(true);
  });

  it('keeps the prompt dense, also for a policy without warm-up', () => {
    const session = new SessionTracker(uniformPolicy({ c: 1 }), SHAPE);
    session.begin(100, 0);
    expect(Array.from(session.logThresholds(0))).toEqual(Array(HEADS).fill(-Infinity));
    session.begin(1, 100);
    expect(Array.from(session.logThresholds(0))).toEqual(Array(HEADS).fill(Math.log(1 / 101)));
  });
});
