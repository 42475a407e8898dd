import { expect, test } from 'vitest';
import { heldCalls, record, replay } from './replay.ts';

/** Notes the calls that reach it. */
class Log {
  readonly calls: unknown[][] = [];
  note(...call: unknown[]): void {
    this.calls.push(call);
  }
}

class Group {
  constructor(readonly entries: unknown) {}
}

/** As much of a device as a decode step uses. */
function fakeDevice(log: Log): GPUDevice {
  class FakePass {
    setPipeline(pipeline: unknown): void {
      log.note('setPipeline', pipeline);
    }
    setBindGroup(index: number, group: Group): void {
      log.note('setBindGroup', index, group.entries);
    }
    dispatchWorkgroups(x: number, y = 1, z = 1): void {
      log.note('dispatchWorkgroups', x, y, z);
    }
    end(): void {
      log.note('end');
    }
  }
  class FakeEncoder {
    beginComputePass(): FakePass {
      log.note('beginComputePass');
      return new FakePass();
    }
  }
  class FakeQueue {
    writeBuffer(buffer: unknown, offset: number, data: Uint8Array, from = 0, size = data.length - from) {
      log.note('writeBuffer', buffer, offset, [...data.subarray(from, from + size)]);
    }
  }
  class FakeDevice {
    readonly queue = new FakeQueue();
    createBindGroup({ entries }: { entries: unknown }): Group {
      log.note('createBindGroup', entries);
      return new Group(entries);
    }
    createCommandEncoder(): FakeEncoder {
      log.note('createCommandEncoder');
      return new FakeEncoder();
    }
  }
  return new FakeDevice() as unknown as GPUDevice;
}

test('a recorded step makes the same calls again, and leaves the device as it was', () => {
  const log = new Log();
  const device = fakeDevice(log);
  const heap = Uint8Array.of(9, 1, 2, 9);
  const { calls, stop } = record(device);
  device.queue.writeBuffer('uniforms' as never, 4, heap, 1, 2);
  heap.fill(0); // the runtime uses its memory again
  const groups = [1, 2].map((binding) =>
    device.createBindGroup({ layout: undefined as never, entries: [{ binding, resource: {} as never }] }),
  );
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline('p' as never);
  pass.setBindGroup(0, groups[1]!);
  pass.dispatchWorkgroups(5);
  pass.setBindGroup(0, groups[0]!);
  pass.dispatchWorkgroups(2, 3);
  expect(() => pass.setBindGroup(1, groups[0]!)).toThrow('did not make');
  pass.end();
  stop();
  const made = log.calls.splice(0).filter((call) => call[0] !== 'setBindGroup' || call[1] === 0);
  for (const object of [device, device.queue, encoder, pass])
    expect(Object.keys(Object.getOwnPropertyDescriptors(object)).filter((name) => name !== 'queue')).toEqual(
      [],
    );

  expect(replay(device, calls)).toBeGreaterThanOrEqual(0);
  expect(log.calls).toEqual(made);
  expect(made).toContainEqual(['writeBuffer', 'uniforms', 4, [1, 2]]);

  // With its bind groups held, nothing is left but the calls on the pass.
  const held = heldCalls(device, calls).map(({ name, args }) =>
    name === 'setBindGroup' ? [name, args[0], (args[1] as Group).entries] : [name, ...args],
  );
  const onPass = ['setPipeline', 'setBindGroup', 'dispatchWorkgroups'];
  expect(held).toEqual(made.filter(([name]) => onPass.includes(name as string)));
});
