/** Settles when nothing is being enabled on a device. */
const tails = new WeakMap<GPUDevice, Promise<void>>();

/**
 * Does work when what was given before for the device is done: what one enabling measures and compares would disturb another's, and a
 * second one finds what the first has compiled.
 */
export function queuedOn<T>(device: GPUDevice, work: () => Promise<T>): Promise<T> {
  const result = (tails.get(device) ?? Promise.resolve()).then(work);
  const settled = result.then(
    () => {},
    () => {},
  );
  tails.set(device, settled);
  return result;
}
