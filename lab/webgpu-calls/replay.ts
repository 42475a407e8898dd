// The WebGPU calls of one decode step, recorded while a runtime makes them, and made again.
import type { Interception } from '../../src/adapters/shared/interception.ts';
import { observe, removeAll } from './observe.ts';

/** A call of WebGPU, to be made again. */
export type Call =
  | { kind: 'group'; descriptor: GPUBindGroupDescriptor }
  | { kind: 'write'; buffer: GPUBuffer; offset: number; data: Uint8Array<ArrayBuffer>; size: number }
  | { kind: 'encoder' }
  | { kind: 'pass' }
  | { kind: 'pipeline'; pipeline: GPUComputePipeline }
  /** A group that was made before in the step, by its number. */
  | { kind: 'bind'; group: number }
  | { kind: 'dispatch'; x: number; y: number; z: number }
  | { kind: 'end' };

/** Notes the calls of a step as the runtime makes them: it stands in front of whatever else intercepts them. */
export function record(device: GPUDevice): { calls: Call[]; stop(): void } {
  const calls: Call[] = [];
  const groups = new Map<GPUBindGroup, number>();
  const interceptions: Interception[] = [
    observe(device, 'createBindGroup', (group, [descriptor]) => {
      groups.set(group, groups.size);
      calls.push({ kind: 'group', descriptor: { ...descriptor, entries: [...descriptor.entries] } });
    }),
    observe(device.queue, 'writeBuffer', (_, [buffer, offset, source, from = 0, length]) => {
      const bytes = source as Uint8Array;
      const size = length ?? bytes.length - from;
      const data = Uint8Array.from(bytes.subarray(from, from + size));
      calls.push({ kind: 'write', buffer, offset, data, size });
    }),
    observe(device, 'createCommandEncoder', (encoder) => {
      calls.push({ kind: 'encoder' });
      const begin = observe(encoder, 'beginComputePass', (pass) => {
        calls.push({ kind: 'pass' });
        interceptions.push(...recordPass(pass, calls, groups));
      });
      interceptions.push(begin);
    }),
  ];
  return { calls, stop: () => removeAll(interceptions) };
}

function recordPass(
  pass: GPUComputePassEncoder,
  calls: Call[],
  groups: ReadonlyMap<GPUBindGroup, number>,
): Interception[] {
  return [
    observe(pass, 'setPipeline', (_, [pipeline]) => calls.push({ kind: 'pipeline', pipeline })),
    observe(pass, 'setBindGroup', (_, [index, group]) => {
      const known = groups.get(group!);
      if (index !== 0 || known === undefined) throw new Error('A bind group that this step did not make.');
      calls.push({ kind: 'bind', group: known });
    }),
    observe(pass, 'dispatchWorkgroups', (_, [x, y = 1, z = 1]) => calls.push({ kind: 'dispatch', x, y, z })),
    observe(pass, 'end', () => calls.push({ kind: 'end' })),
  ];
}

/** Makes the calls of a step again; nothing is submitted. Returns the milliseconds. */
export function replay(device: GPUDevice, calls: readonly Call[]): number {
  const groups: GPUBindGroup[] = [];
  const { queue } = device;
  let encoder: GPUCommandEncoder | undefined;
  let pass: GPUComputePassEncoder | undefined;
  const start = performance.now();
  for (const call of calls) {
    switch (call.kind) {
      case 'group':
        groups.push(device.createBindGroup(call.descriptor));
        break;
      case 'write':
        queue.writeBuffer(call.buffer, call.offset, call.data, 0, call.size);
        break;
      case 'encoder':
        encoder = device.createCommandEncoder();
        break;
      case 'pass':
        pass = encoder!.beginComputePass();
        break;
      case 'pipeline':
        pass!.setPipeline(call.pipeline);
        break;
      case 'bind':
        pass!.setBindGroup(0, groups[call.group]!);
        break;
      case 'dispatch':
        pass!.dispatchWorkgroups(call.x, call.y, call.z);
        break;
      case 'end':
        pass!.end();
        break;
    }
  }
  return performance.now() - start;
}

/** A call on a pass with its arguments. */
export interface PassCall {
  name: 'setPipeline' | 'setBindGroup' | 'dispatchWorkgroups';
  args: unknown[];
}

/** The calls of a step on its passes, with bind groups that are made once: what is left of it if all its buffers are held. */
export function heldCalls(device: GPUDevice, calls: readonly Call[]): PassCall[] {
  const groups = calls.flatMap((call) =>
    call.kind === 'group' ? [device.createBindGroup(call.descriptor)] : [],
  );
  return calls.flatMap((call): PassCall[] => {
    if (call.kind === 'pipeline') return [{ name: 'setPipeline', args: [call.pipeline] }];
    if (call.kind === 'bind') return [{ name: 'setBindGroup', args: [0, groups[call.group]] }];
    return call.kind === 'dispatch' ? [{ name: 'dispatchWorkgroups', args: [call.x, call.y, call.z] }] : [];
  });
}

/** Makes calls on a pass of their own, by WebGPU's methods alone. Returns the milliseconds. */
export function replayPass(device: GPUDevice, calls: readonly PassCall[]): number {
  const encoder = GPUDevice.prototype.createCommandEncoder.call(device);
  const pass = GPUCommandEncoder.prototype.beginComputePass.call(encoder);
  const { setPipeline, dispatchWorkgroups } = GPUComputePassEncoder.prototype;
  const setBindGroup = GPUComputePassEncoder.prototype.setBindGroup as (...args: unknown[]) => undefined;
  const start = performance.now();
  for (const { name, args } of calls) {
    if (name === 'setPipeline') setPipeline.call(pass, args[0] as GPUComputePipeline);
    else if (name === 'setBindGroup') setBindGroup.apply(pass, args);
    else dispatchWorkgroups.apply(pass, args as [number, number, number]);
  }
  const time = performance.now() - start;
  pass.end();
  return time;
}
