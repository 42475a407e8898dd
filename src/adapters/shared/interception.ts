/** A function of the plugin's that stands in front of a method. */
export interface Interception {
  /** Whether it still has anything to do; if not, it must pass calls on as they are. */
  readonly active: boolean;
  /** Takes it away, or where another library has put its own in front of it, leaves it in place and has it pass calls on. */
  remove(): void;
}

/**
 * Puts a function in front of a method of one object. Its removal puts back what was there (an own property that shadowed the prototype's
 * method is deleted), but only if it is still the one in place: another library's wrapper, which came later and calls it, stays.
 *
 * @param make gets the method as it was, to be called with `this`, and the interception; while that is not active, the function it makes
 * must pass calls on as they are
 */
export function intercept<T extends object, K extends keyof T>(
  object: T,
  name: K,
  make: (original: T[K], interception: Interception) => T[K],
): Interception {
  const before = Object.getOwnPropertyDescriptor(object, name);
  const interception = {
    active: true,
    remove() {
      if (!this.active) return;
      this.active = false;
      if (object[name] !== replacement) return;
      if (before) Object.defineProperty(object, name, before);
      else delete object[name];
    },
  };
  const replacement = make(object[name], interception);
  Object.defineProperty(object, name, {
    value: replacement,
    configurable: true,
    writable: true,
    enumerable: false,
  });
  return interception;
}
