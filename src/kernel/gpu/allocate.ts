import { SiftError } from '../../errors.ts';

/** What must be destroyed at the end, whatever has happened until then. */
export type Owned = { destroy(): void }[];

/** Destroys it, and forgets it. */
export function destroyAll(owned: Owned): void {
  for (const each of owned.splice(0)) each.destroy();
}

/** Why a device is gone, if it is. It waits for no more than what has happened already. */
export function lossOf(device: GPUDevice): Promise<GPUDeviceLostInfo | undefined> {
  return Promise.race([device.lost, new Promise<undefined>((resolve) => setTimeout(resolve))]);
}

/** The error for a device that is gone. */
export function deviceLost({ message, reason }: GPUDeviceLostInfo, cause?: unknown): SiftError {
  const text = `The GPU device was lost (${message || reason}). Load the model again, then call enableSift.`;
  return new SiftError('DEVICE_LOST', text, { cause });
}

/**
 * The error for what a device has refused.
 * @param error if it is not because the device is lost
 */
export async function refusal(device: GPUDevice, error: SiftError): Promise<SiftError> {
  const lost = await lossOf(device);
  if (!lost) return error;
  return deviceLost(lost, error.cause);
}

/** The error for memory that the device does not have. */
function outOfMemory(device: GPUDevice, message: string, cause: unknown): Promise<SiftError> {
  const text = `${message}: ${(cause as Error).message}`;
  return refusal(device, new SiftError('OUT_OF_MEMORY', text, { cause }));
}

/**
 * Creates buffers under error scopes, so that only the caller gets a failure. Without the scopes, whoever
 * listens on the device would get it, and the commands that name such a buffer would be lost, the runtime's
 * own among them.
 *
 * @param what the beginning of the error message, such as "Scratch buffers need"
 * @param bytes of all buffers together, for the message; 0 where there are only a few
 * @param create makes them at once, as a list, or one after the other if it may throw
 * @throws {SiftError} `OUT_OF_MEMORY` if the device refuses a buffer, `DEVICE_LOST`. What `create` made is then destroyed.
 */
export async function allocate<T extends { destroy(): void }>(
  device: GPUDevice,
  what: string,
  bytes: number,
  create: () => Iterable<T>,
): Promise<T[]> {
  device.pushErrorScope('validation');
  device.pushErrorScope('out-of-memory');
  const made: T[] = [];
  let thrown: unknown;
  try {
    for (const each of create()) made.push(each);
  } catch (error) {
    thrown = error;
  }
  const popped = [device.popErrorScope(), device.popErrorScope()];
  // On a lost device scopes may be refused.
  const [memory, validation] = await Promise.all(popped).catch((error: unknown) => [error]);
  const error = thrown ?? memory ?? validation;
  if (!error) return made;
  destroyAll(made);
  const size = bytes > 0 ? `${(bytes / 2 ** 20).toFixed(1)} MB of ` : '';
  throw await outOfMemory(device, `${what} ${size}GPU memory that is not there`, error);
}

/** Bytes of a buffer that are to be read. */
export interface BufferPart {
  buffer: GPUBuffer;
  /** From the beginning of the buffer, a multiple of 4. Default 0. */
  offset?: number;
  /** A multiple of 4. */
  bytes: number;
}

/**
 * Reads parts of buffers back, one after the other, as they are when all work submitted so far is done.
 * @throws {SiftError} `OUT_OF_MEMORY` if there is no memory for the copy or it cannot be mapped, `DEVICE_LOST`
 */
export async function readBack(device: GPUDevice, parts: readonly BufferPart[]): Promise<ArrayBuffer> {
  const size = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const [copy] = await allocate(device, 'Reading back needs', 0, () => {
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    const copy = device.createBuffer({ label: 'sift read back', size: Math.max(16, size), usage });
    const encoder = device.createCommandEncoder();
    let at = 0;
    for (const { buffer, offset = 0, bytes } of parts) {
      encoder.copyBufferToBuffer(buffer, offset, copy, at, bytes);
      at += bytes;
    }
    device.queue.submit([encoder.finish()]);
    return [copy];
  });
  const map = () => copy!.mapAsync(GPUMapMode.READ);
  try {
    // A browser may be short of memory for a moment.
    await map().catch(map);
    return copy!.getMappedRange().slice(0, size);
  } catch (error) {
    throw await outOfMemory(device, 'A buffer could not be read back', error);
  } finally {
    copy!.destroy();
  }
}
