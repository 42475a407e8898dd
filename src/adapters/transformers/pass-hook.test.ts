import { describe, expect, test } from 'vitest';
import { BindGroupRecord } from './bind-group-record.ts';
import { type Dispatch, type HookState, PassHook } from './pass-hook.ts';
import type { Program } from './program.ts';

/** A pass that notes what reaches WebGPU. */
function setUp(handle?: (dispatch: Dispatch) => boolean, program?: Program) {
  const log: string[] = [];
  const name = (object: unknown) => (object as { name: string }).name;
  const pass = {
    setPipeline: (pipeline: unknown) => void log.push(`pipeline ${name(pipeline)}`),
    setBindGroup: (index: number, group: unknown, ...offsets: unknown[]) =>
      void log.push(`group ${index} ${group ? name(group) : 'none'}${offsets.length ? ' offsets' : ''}`),
    dispatchWorkgroups: (x: number, y: number, z: number) => void log.push(`dispatch ${x} ${y} ${z}`),
    dispatchWorkgroupsIndirect: () => void log.push('indirect'),
  } as unknown as GPUComputePassEncoder;
  const groups = new BindGroupRecord();
  const state: HookState = { handler: handle && { dispatch: handle }, groups, programOf: () => program };
  new PassHook(pass, state).install();
  const pipeline = (label: string) => ({ name: label }) as unknown as GPUComputePipeline;
  const group = (label: string, entries: GPUBindGroupEntry[] = []): GPUBindGroup => {
    const made = { name: label } as unknown as GPUBindGroup;
    groups.made(made, entries);
    return made;
  };
  return { log, pass, pipeline, group };
}

describe('PassHook', () => {
  test('without a handler the calls arrive as they are, the state when it is used', () => {
    const { log, pass, pipeline, group } = setUp();
    pass.setPipeline(pipeline('a'));
    pass.setBindGroup(0, group('g'));
    pass.dispatchWorkgroups(3);
    pass.setBindGroup(0, group('h'));
    pass.dispatchWorkgroups(1, 2, 3);
    pass.setPipeline(pipeline('b'));
    pass.dispatchWorkgroupsIndirect({} as GPUBuffer, 0);
    expect(log).toEqual([
      ...['pipeline a', 'group 0 g', 'dispatch 3 1 1'],
      ...['group 0 h', 'dispatch 1 2 3'],
      ...['pipeline b', 'indirect'],
    ]);
  });

  test('a replaced dispatch sets nothing of the runtime; afterwards its state is there again', () => {
    let replace = true;
    const { log, pass, pipeline, group } = setUp((dispatch) => {
      if (!replace) return false;
      dispatch.pass.setPipeline(pipeline('ours'));
      dispatch.pass.setBindGroup(0, group('our group'));
      dispatch.pass.dispatchWorkgroups(7, 1, 1);
      return true;
    });
    pass.setPipeline(pipeline('a'));
    pass.setBindGroup(0, group('g'));
    pass.dispatchWorkgroups(1);
    expect(log).toEqual(['pipeline ours', 'group 0 our group', 'dispatch 7 1 1']);
    // The runtime counts on its pipeline, and binds another group.
    replace = false;
    pass.setBindGroup(0, group('h'));
    pass.dispatchWorkgroups(2);
    expect(log.slice(3)).toEqual(['pipeline a', 'group 0 h', 'dispatch 2 1 1']);
  });

  test('what a handler encoded before it gave up is undone', () => {
    const { log, pass, pipeline, group } = setUp((dispatch) => {
      dispatch.pass.setPipeline(pipeline('ours'));
      return false;
    });
    pass.setPipeline(pipeline('a'));
    pass.setBindGroup(0, group('g'));
    pass.dispatchWorkgroups(1);
    pass.dispatchWorkgroups(2);
    expect(log).toEqual([
      ...['pipeline ours', 'pipeline a', 'group 0 g', 'dispatch 1 1 1'],
      ...['pipeline ours', 'pipeline a', 'dispatch 2 1 1'],
    ]);
  });

  test('a handler may let the runtime go first', () => {
    const { log, pass, pipeline, group } = setUp((dispatch) => {
      dispatch.encodeStock();
      dispatch.pass.setPipeline(pipeline('ours'));
      dispatch.pass.dispatchWorkgroups(9);
      return true;
    });
    pass.setPipeline(pipeline('a'));
    pass.setBindGroup(0, group('g'));
    pass.dispatchWorkgroups(4, 5);
    expect(log).toEqual(['pipeline a', 'group 0 g', 'dispatch 4 5 1', 'pipeline ours', 'dispatch 9 1 1']);
  });

  test('dynamic offsets, other groups and groups that were not seen go through and are not routed', () => {
    const seen: Dispatch[] = [];
    const { log, pass, pipeline, group } = setUp((dispatch) => seen.push(dispatch) > 0);
    pass.setPipeline(pipeline('a'));
    pass.setBindGroup(1, group('other'));
    pass.setBindGroup(0, group('g'), [256]);
    pass.dispatchWorkgroups(1);
    pass.setBindGroup(0, { name: 'unseen' } as unknown as GPUBindGroup);
    pass.dispatchWorkgroups(2);
    pass.setBindGroup(0, null);
    expect(seen).toEqual([]);
    expect(log).toEqual([
      ...['group 1 other', 'group 0 g offsets', 'pipeline a', 'dispatch 1 1 1'],
      ...['group 0 unseen', 'dispatch 2 1 1', 'group 0 none'],
    ]);
  });

  const entriesOf = (program?: Program) => {
    const seen: (readonly GPUBindGroupEntry[])[] = [];
    const set = setUp(({ entries }) => seen.push(entries) > 0, program);
    set.pass.setPipeline(set.pipeline('a'));
    const entry = (binding: number): GPUBindGroupEntry[] => [{ binding, resource: {} as GPUBufferBinding }];
    return { ...set, seen, entry };
  };

  test('groups that are made before any of them is set are all known', () => {
    const { pass, group, seen, entry } = entriesOf();
    const groups = [entry(0), entry(1), entry(2)].map((entries, i) => group(`g${i}`, entries));
    for (const each of groups) {
      pass.setBindGroup(0, each);
      pass.dispatchWorkgroups(1);
    }
    expect(seen).toEqual([entry(0), entry(1), entry(2)]);
  });

  test('a group of an attention is known when it is set again; one of another program is not routed then', () => {
    for (const program of [{ role: 'attend', reason: '' } as Program, undefined]) {
      const { pass, group, seen, entry } = entriesOf(program);
      const first = group('first', entry(0));
      pass.setBindGroup(0, first);
      pass.dispatchWorkgroups(1);
      pass.setBindGroup(0, group('second', entry(1)));
      pass.dispatchWorkgroups(1);
      pass.setBindGroup(0, first);
      pass.dispatchWorkgroups(1);
      expect(seen).toEqual([entry(0), entry(1), ...(program ? [entry(0)] : [])]);
    }
  });
});
