import { describe, expect, test } from 'vitest';
import { learnedPolicy, paperPolicy, planStep, uniformPolicy } from '../../policy/index.ts';
import { FLAG, PARAMS_BYTES } from '../text/schema.ts';
import { writeParams } from './params.ts';

const GEOMETRY = {
  batch: 1,
  lengthBias: 1,
  capacity: 64,
  firstKey: 0,
  scoreStride: 64,
  splits: 2,
  chunk: 32,
  shadowGroups: 0,
  encodeRows: 0,
  statistics: false,
  scale: 0.125,
};

function params(policy: Parameters<typeof planStep>[0], step: number): DataView {
  const view = new DataView(new ArrayBuffer(PARAMS_BYTES));
  writeParams(view, GEOMETRY, policy, planStep(policy, step));
  return view;
}

describe('writeParams', () => {
  const flags = (view: DataView) => view.getUint32(32, true);

  test('paper: step axis, free exponent, nothing forced', () => {
    const view = params(paperPolicy({ tau: 0.75, warmup: 4 }), 2);
    expect(flags(view)).toBe(FLAG.dense | FLAG.record);
    expect(view.getUint32(24, true)).toBe(4); // window
    expect(view.getUint32(28, true)).toBe(1); // place in it
    expect(view.getFloat32(40, true)).toBe(0.75);
    expect(view.getFloat32(52, true)).toBeLessThan(0); // free
  });

  test('default: length axis, exponent fixed at -1', () => {
    const view = params(learnedPolicy({ tau: 0.75, warmup: 4 }), 5);
    expect(flags(view)).toBe(
      FLAG.renormalise | FLAG.share | FLAG.newest | FLAG.largest | FLAG.length_axis | FLAG.guard,
    );
    expect(view.getFloat32(48, true)).toBe(-1);
    expect(view.getFloat32(52, true)).toBe(0);
  });

  test('c / S is given as a law on the length', () => {
    const view = params(uniformPolicy({ c: 2 }), 1);
    expect(flags(view) & (FLAG.analytic | FLAG.length_axis)).toBe(FLAG.analytic | FLAG.length_axis);
    expect(view.getFloat32(44, true)).toBeCloseTo(Math.log(2), 6);
    expect(view.getFloat32(48, true)).toBe(-1);
  });
});
