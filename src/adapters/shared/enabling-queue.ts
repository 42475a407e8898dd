/** Settles when nothing is being enabled. */
let tail: Promise<unknown> = Promise.resolve();

/**
 * Does work when what was given before is done: what one enabling measures and compares would disturb another's, and a second one finds
 * what the first has compiled.
 */
export function queued<T>(work: () => Promise<T>): Promise<T> {
  const result = tail.then(work);
  tail = result.catch(() => {});
  return result;
}
