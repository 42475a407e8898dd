import { SiftError } from '../../errors.ts';

/**
 * Creates buffers under error scopes, so that only the caller gets a failure. Without the scopes, whoever
 * listens on the device would get it, and the commands that name such a buffer would be lost, the runtime's
 * own among them.
 *
 * @param what the beginning of the error message, such as "Scratch buffers need"
 * @param bytes of all buffers together, for the message
 * @throws {SiftError} `OUT_OF_MEMORY` if the device refuses a buffer. What `create` made is then destroyed.
 */
export async function allocate<T extends { destroy(): void }>(
  device: GPUDevice,
  what: string,
  bytes: number,
  create: () => T[],
): Promise<T[]> {
  device.pushErrorScope('validation');
  device.pushErrorScope('out-of-memory');
  let made: T[] = [];
  let thrown: unknown;
  try {
    made = create();
  } catch (error) {
    thrown = error;
  }
  const [memory, validation] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
  const error = thrown ?? memory ?? validation;
  if (!error) return made;
  for (const each of made) each.destroy();
  const reason = error instanceof Error ? error.message : (error as GPUError).message;
  throw new SiftError(
    'OUT_OF_MEMORY',
    `${what} ${(bytes / 2 ** 20).toFixed(1)} MB of GPU memory, which the device does not have: ${reason}`,
    { cause: error },
  );
}
