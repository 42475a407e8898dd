/**
 * Puts a function in front of a method of one object, and returns what takes it away again: an own property that shadowed the
 * prototype's method is deleted, one that was there before is put back.
 */
export function shadowMethod<T extends object, K extends keyof T>(
  object: T,
  name: K,
  replacement: T[K],
): () => void {
  const before = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, {
    value: replacement,
    configurable: true,
    writable: true,
    enumerable: false,
  });
  return () => {
    if (before) Object.defineProperty(object, name, before);
    else delete object[name];
  };
}
