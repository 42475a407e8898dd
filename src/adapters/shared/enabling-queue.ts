/** Settles when nothing is being enabled. */
let tail: Promise<unknown> = Promise.resolve();

/**
 * Does work when what was given before is done: what one enabling measures and compares would disturb another's, and a second one finds
 * what the first has compiled.
 *
 * @param signal if it is aborted before the work has begun, the work is never done, and the promise rejects with the signal's reason at
 * once. From then on the work itself is to look at it.
 */
export function queued<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  let leave = () => {};
  const left = new Promise<never>((_, reject) => {
    leave = () => reject(signal?.reason);
  });
  const result = tail.then(() => {
    signal?.removeEventListener('abort', leave);
    signal?.throwIfAborted();
    return work();
  });
  tail = result.catch(() => {});
  if (signal?.aborted) leave();
  else signal?.addEventListener('abort', leave);
  return Promise.race([result, left]);
}
