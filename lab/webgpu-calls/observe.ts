import { type Interception, intercept } from '../../src/adapters/shared/interception.ts';

type Method = (this: unknown, ...args: never[]) => unknown;
type Arguments<M> = M extends (...args: infer A) => unknown ? A : never;
type Result<M> = M extends (...args: never[]) => infer R ? R : never;

/**
 * Notes the calls of a method, each after it was made.
 *
 * @param note - is given what the method returned, its arguments, and the object that it was called on
 */
export function observe<T extends object, K extends keyof T>(
  object: T,
  name: K,
  note: (result: Result<T[K]>, args: Arguments<T[K]>, self: T) => void,
): Interception {
  const make = (original: Method, interception: Interception) =>
    function (this: T, ...args: never[]) {
      const result = original.apply(this, args);
      if (interception.active) note(result as Result<T[K]>, args as unknown as Arguments<T[K]>, this);
      return result;
    };
  return intercept(object, name, make as unknown as Parameters<typeof intercept<T, K>>[2]);
}

/** Takes interceptions away, the newest first: one that another stands in front of would stay in place. */
export function removeAll(interceptions: readonly Interception[]): void {
  for (const interception of [...interceptions].reverse()) interception.remove();
}
