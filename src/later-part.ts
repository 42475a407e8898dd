import { SiftError } from './errors.ts';

/**
 * A part of the package that few pages use. An entry either has it at hand, as one must that is used where no module can be loaded later,
 * or says how it is loaded when it is used for the first time, so that it does not weigh on the others.
 */
export class LaterPart<T> {
  /** The part, once it is there. Set it to have it at hand, so that nothing is loaded later. */
  part: T | undefined;

  /** @param what the part is to the user, as in a sentence: `The part for web-llm` */
  constructor(
    private readonly what: string,
    public load?: () => Promise<T>,
  ) {}

  /**
   * The part.
   * @throws {SiftError} `UNSUPPORTED_RUNTIME` where it cannot be loaded; it is tried again the next time
   */
  async get(): Promise<T> {
    try {
      this.part ??= await this.load!();
      return this.part;
    } catch (cause) {
      throw new SiftError(
        'UNSUPPORTED_RUNTIME',
        `${this.what} could not be loaded. Where no module can be loaded later, as in a service worker, import from 'sift-attention/transformers', 'sift-attention/web-llm' or 'sift-attention/kernel'.`,
        { cause },
      );
    }
  }
}
