// Sees what the plugin leaves behind: buffers, replaced methods, errors that nobody caught.

/** Where the plugin's own files are served. */
const OURS = /\/src\/(adapters|kernel|policy|[a-z]+\.ts)/;

/** Buffers of the plugin's that exist, with the place where each was created. */
const buffers = new Map<GPUBuffer, string>();
const errors: string[] = [];
const classes = [GPUDevice, GPUQueue, GPUCommandEncoder, GPUComputePassEncoder, GPUBuffer];
let prototypes: Map<object, Map<PropertyKey, unknown>>;

const methodsOf = (object: object): Map<PropertyKey, unknown> =>
  new Map(
    Reflect.ownKeys(object).map((key) => {
      const { value, get } = Object.getOwnPropertyDescriptor(object, key)!;
      return [key, value ?? get];
    }),
  );

/** The line of the caller's caller. */
function place(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 4;
  const lines = new Error().stack?.split('\n') ?? [];
  Error.stackTraceLimit = limit;
  return lines[3]?.trim() ?? '';
}

/** Begins before the plugin or the runtime does anything. */
export function beginWitness(): void {
  const { createBuffer } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    const at = place();
    if (OURS.test(at))
      buffers.set(buffer, `${descriptor.label ?? 'no label'}, ${descriptor.size} bytes, ${at}`);
    return buffer;
  };
  const { destroy } = GPUBuffer.prototype;
  GPUBuffer.prototype.destroy = function () {
    buffers.delete(this);
    return destroy.call(this);
  };
  prototypes = new Map(classes.map(({ prototype }) => [prototype, methodsOf(prototype)]));
  addEventListener('unhandledrejection', ({ reason }) => errors.push(`unhandled rejection: ${reason}`));
  addEventListener('error', ({ message }) => errors.push(`error event: ${message}`));
}

/** Listens to a device's errors. */
export function watchDevice(device: GPUDevice): void {
  device.addEventListener('uncapturederror', ({ error }) => errors.push(`uncaptured: ${error.message}`));
  // The runtime may destroy its device with its last session.
  void device.lost.then(({ reason, message }) => {
    if (reason !== 'destroyed') errors.push(`device lost: ${message}`);
  });
}

/** The methods that an object has of its own, to be compared with later. */
export const remember = methodsOf;

/** Methods of an object that are not as they were. */
export function changes(name: string, object: object, before: Map<PropertyKey, unknown>): string[] {
  const now = methodsOf(object);
  return [...new Set([...now.keys(), ...before.keys()])]
    .filter(
      (key) => typeof (now.get(key) ?? before.get(key)) === 'function' && now.get(key) !== before.get(key),
    )
    .map((key) => `${name}.${String(key)}`);
}

/** Methods of WebGPU's classes that are not as they were. */
export const changedPrototypes = (): string[] =>
  classes.flatMap(({ name, prototype }) =>
    changes(`${name}.prototype`, prototype, prototypes.get(prototype)!),
  );

/** Milliseconds that work under way may take to its end, on a busy machine; what it needs is freed then. */
const PATIENCE = 60_000;

/** Buffers of the plugin's that exist, once work under way is over. */
export async function livingBuffers(): Promise<string[]> {
  const start = performance.now();
  while (buffers.size > 0 && performance.now() - start < PATIENCE)
    await new Promise((resolve) => setTimeout(resolve, 20));
  return [...buffers.values()];
}

/** How many buffers of the plugin's there are now, and their bytes. */
export const ownBuffers = (): { count: number; bytes: number } => ({
  count: buffers.size,
  bytes: [...buffers.keys()].reduce((sum, { size }) => sum + size, 0),
});

/** Errors since the last time. */
export const takeErrors = (): string[] => errors.splice(0);

/** Forgets buffers whose owner was lost through an error of the app's. */
export const forgetBuffers = (): void => buffers.clear();
