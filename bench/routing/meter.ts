/** Time and number of calls. */
export interface Spent {
  microseconds: number;
  calls: number;
}

type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Times what a runtime calls of WebGPU while it encodes: `outer`, as the runtime sees it, with the plugin's functions in front;
 * `inner`, the browser's or Dawn's own methods, by whom they are called. The difference is what the plugin adds in JavaScript.
 *
 * The meter costs time itself. What falls into the plugin's share is measured on empty functions (`perCall`) and subtracted.
 */
export class WebGpuMeter {
  readonly outer: Spent = { microseconds: 0, calls: 0 };
  readonly inner: Spent = { microseconds: 0, calls: 0 };
  /** Inner calls that the plugin made in the place of a dispatch of the runtime. */
  readonly ours: Spent = { microseconds: 0, calls: 0 };
  /** The runtime's own calls on passes for the dispatches that the plugin could replace, where it does not. */
  readonly stock: Spent = { microseconds: 0, calls: 0 };
  /** Set while a dispatch is replaced by the plugin's. */
  routed = false;
  /** Set when the runtime is about to encode a dispatch that counts as `stock`. */
  isStock = false;
  /** Microseconds of the meter in the plugin's share, per inner call. */
  readonly perCall: number;
  private on = false;
  private depth = 0;
  /** The calls on passes since the last dispatch. */
  private readonly sinceDispatch: Spent = { microseconds: 0, calls: 0 };
  private readonly restore: (() => void)[] = [];
  private readonly attached: (() => void)[] = [];

  constructor() {
    this.perCall = this.calibrate();
    const natives: [object, readonly string[]][] = [
      [GPUDevice.prototype, ['createBindGroup', 'createCommandEncoder', 'createBuffer']],
      [GPUCommandEncoder.prototype, ['beginComputePass']],
      [GPUComputePassEncoder.prototype, ['setPipeline', 'setBindGroup', 'dispatchWorkgroups']],
      [GPUQueue.prototype, ['writeBuffer']],
    ];
    for (const [prototype, names] of natives) {
      for (const name of names) {
        this.restore.push(this.wrap(prototype, name, (method) => this.timeInner(method, name)));
      }
    }
  }

  /** Times what the runtime calls of this device; after the plugin was enabled. */
  attach(device: GPUDevice): void {
    const outer = (object: object, name: string) =>
      this.attached.push(this.wrap(object, name, (method) => this.timeOuter(method)));
    outer(device, 'createBindGroup');
    outer(device, 'createBuffer');
    outer(device.queue, 'writeBuffer');
    const encoders = this.wrap(device, 'createCommandEncoder', (method) => {
      const timed = this.timeOuter(method);
      const meter = this;
      return function (...args) {
        const encoder = timed.apply(this, args) as object;
        meter.wrap(encoder, 'beginComputePass', (begin) => {
          const timedBegin = meter.timeOuter(begin);
          return function (...passArgs) {
            const pass = timedBegin.apply(this, passArgs) as object;
            for (const name of ['setPipeline', 'setBindGroup', 'dispatchWorkgroups'])
              meter.wrap(pass, name, (m) => meter.timeOuter(m));
            return pass;
          };
        });
        return encoder;
      };
    });
    this.attached.push(encoders);
  }

  start(): void {
    for (const spent of [this.outer, this.inner, this.ours, this.stock]) {
      spent.microseconds = 0;
      spent.calls = 0;
    }
    this.on = true;
  }

  stop(): void {
    this.on = false;
  }

  /** Takes away what {@link attach} put on; before the plugin is disposed of. */
  release(): void {
    for (const restore of this.attached.splice(0).reverse()) restore();
  }

  /** Takes the meter away. */
  detach(): void {
    for (const restore of this.restore.splice(0).reverse()) restore();
  }

  private timeInner(method: Method, name = ''): Method {
    const meter = this;
    const dispatches = name === 'dispatchWorkgroups';
    const onPass = dispatches || name.startsWith('set');
    return function (...args) {
      // Calls outside the runtime's encoding (the plugin's own between runs, say) are none of a step's.
      if (!meter.on || meter.depth === 0) return method.apply(this, args);
      const start = performance.now();
      const result = method.apply(this, args);
      const time = 1000 * (performance.now() - start);
      add(meter.inner, time);
      if (meter.routed) add(meter.ours, time);
      else if (onPass) add(meter.sinceDispatch, time);
      if (dispatches && !meter.routed) meter.endDispatch();
      return result;
    };
  }

  private endDispatch(): void {
    const { sinceDispatch: since, stock } = this;
    if (this.isStock) {
      stock.microseconds += since.microseconds;
      stock.calls += since.calls;
    }
    this.isStock = false;
    since.microseconds = 0;
    since.calls = 0;
  }

  private timeOuter(method: Method): Method {
    const meter = this;
    return function (...args) {
      if (!meter.on) return method.apply(this, args);
      meter.depth++;
      const start = performance.now();
      try {
        return method.apply(this, args);
      } finally {
        add(meter.outer, 1000 * (performance.now() - start));
        meter.depth--;
      }
    };
  }

  /** What an inner call costs beyond what it counts as its own. */
  private calibrate(): number {
    const nothing: Method = () => undefined;
    const inner = this.timeInner(nothing);
    this.on = true;
    this.depth = 1;
    const samples: number[] = [];
    for (let round = 0; round < 40; round++) {
      this.inner.microseconds = 0;
      const start = performance.now();
      for (let i = 0; i < 2000; i++) inner.call(this, i);
      samples.push((1000 * (performance.now() - start) - this.inner.microseconds) / 2000);
    }
    this.on = false;
    this.depth = 0;
    return samples.sort((a, b) => a - b)[3]!;
  }

  /** Puts a function in front of a method; returns what takes it away. */
  private wrap(object: object, name: string, wrapper: (method: Method) => Method): () => void {
    const methods = object as Record<string, Method>;
    const before = Object.getOwnPropertyDescriptor(object, name);
    const value = wrapper(methods[name]!);
    Object.defineProperty(object, name, { value, configurable: true, writable: true, enumerable: false });
    return () => {
      if (before) Object.defineProperty(object, name, before);
      else delete methods[name];
    };
  }
}

function add(spent: Spent, microseconds: number): void {
  spent.microseconds += microseconds;
  spent.calls++;
}
