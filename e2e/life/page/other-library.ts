// Another library, which wraps methods that the plugin wraps, too.

type Methods = Record<string, unknown>;

/** A wrapper that passes calls on, until it is taken away; one that was buried by another stays and does nothing. */
export class OtherWrapper {
  private readonly before: PropertyDescriptor | undefined;
  /** What was in place before. */
  readonly over: unknown;
  readonly wrapper: (...args: unknown[]) => unknown;

  constructor(
    readonly object: object,
    readonly name: string,
  ) {
    this.before = Object.getOwnPropertyDescriptor(object, name);
    const over = (object as Methods)[name] as (...args: unknown[]) => unknown;
    this.over = over;
    this.wrapper = function (this: unknown, ...args: unknown[]) {
      return over.apply(this, args);
    };
    (object as Methods)[name] = this.wrapper;
  }

  /** @param blindly puts back what was there, whatever is there now */
  remove(blindly: boolean): void {
    const { object, name, before } = this;
    if (!blindly && (object as Methods)[name] !== this.wrapper) return;
    if (before) Object.defineProperty(object, name, before);
    else delete (object as Methods)[name];
  }
}
