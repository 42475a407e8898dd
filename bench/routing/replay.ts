/** What a runtime called of WebGPU in one decode step, to be called again. */
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

type Method = (this: unknown, ...args: never[]) => unknown;

/** Puts a function in front of a method; returns what takes it away. */
export function front(object: object, name: string, wrapper: (method: Method) => Method): () => void {
  const methods = object as Record<string, Method>;
  const before = Object.getOwnPropertyDescriptor(object, name);
  const value = wrapper(methods[name]!);
  Object.defineProperty(object, name, { value, configurable: true, writable: true, enumerable: false });
  return () => {
    if (before) Object.defineProperty(object, name, before);
    else delete methods[name];
  };
}

/** Notes the calls of a step, as the runtime makes them: in front of everything else. */
export function record(device: GPUDevice): { calls: Call[]; stop(): void } {
  const calls: Call[] = [];
  const groups = new Map<GPUBindGroup, number>();
  /** Notes a call and goes on to the method. */
  const after = (object: object, name: string, note: (result: never, ...args: never[]) => void) =>
    front(
      object,
      name,
      (method) =>
        function (...args) {
          const result = method.apply(this, args);
          note(result as never, ...args);
          return result;
        },
    );
  const restore = [
    after(device, 'createBindGroup', (group: GPUBindGroup, descriptor: GPUBindGroupDescriptor) => {
      groups.set(group, groups.size);
      calls.push({ kind: 'group', descriptor: { ...descriptor, entries: [...descriptor.entries] } });
    }),
    after(
      device.queue,
      'writeBuffer',
      (
        _: undefined,
        buffer: GPUBuffer,
        offset: number,
        data: Uint8Array,
        from = 0,
        size = data.length - from,
      ) => {
        calls.push({
          kind: 'write',
          buffer,
          offset,
          data: Uint8Array.from(data.subarray(from, from + size)),
          size,
        });
      },
    ),
    after(device, 'createCommandEncoder', (encoder: GPUCommandEncoder) => {
      calls.push({ kind: 'encoder' });
      after(encoder, 'beginComputePass', (pass: GPUComputePassEncoder) => {
        calls.push({ kind: 'pass' });
        after(pass, 'setPipeline', (_: undefined, pipeline: GPUComputePipeline) =>
          calls.push({ kind: 'pipeline', pipeline }),
        );
        after(pass, 'setBindGroup', (_: undefined, index: number, group: GPUBindGroup) => {
          const known = groups.get(group);
          if (index !== 0 || known === undefined)
            throw new Error('A bind group that this step did not make.');
          calls.push({ kind: 'bind', group: known });
        });
        after(pass, 'dispatchWorkgroups', (_: undefined, x: number, y = 1, z = 1) =>
          calls.push({ kind: 'dispatch', x, y, z }),
        );
        after(pass, 'end', () => calls.push({ kind: 'end' }));
      });
    }),
  ];
  return {
    calls,
    stop: () => {
      for (const undo of restore.reverse()) undo();
    },
  };
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
