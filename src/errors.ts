/**
 * What went wrong, as a stable string that callers can switch on.
 *
 * - `INVALID_OPTION`: an argument or an option is outside what is allowed.
 * - `NO_WEBGPU`: there is no WebGPU, no adapter or no device here.
 * - `NOT_WEBGPU_PIPELINE`: the given pipeline does not run on WebGPU.
 * - `DEVICE_NOT_FOUND`: the GPU device that the pipeline runs on was not found.
 * - `LATE_ENABLE`: the model had generated before, so that its attention was compiled without the plugin seeing it.
 * - `UNSUPPORTED_MODEL`: the model has no attention that can be sifted.
 * - `UNSUPPORTED_RUNTIME`: the runtime lacks members that are needed: its version is not known. Or what is for it could not be loaded.
 * - `SELF_TEST_FAILED`: the kernels do not agree with the reference on this device.
 * - `COMPARE_FAILED`: a run of the model that `sift.compare` asked for failed; the runtime's error is the cause.
 * - `OUT_OF_MEMORY`: a buffer could not be allocated.
 * - `DEVICE_LOST`: the device was lost while it was in use.
 * - `DISPOSED`: the object was used after it was disposed of.
 */
export type SiftErrorCode =
  | 'INVALID_OPTION'
  | 'NO_WEBGPU'
  | 'NOT_WEBGPU_PIPELINE'
  | 'DEVICE_NOT_FOUND'
  | 'LATE_ENABLE'
  | 'UNSUPPORTED_MODEL'
  | 'UNSUPPORTED_RUNTIME'
  | 'SELF_TEST_FAILED'
  | 'COMPARE_FAILED'
  | 'OUT_OF_MEMORY'
  | 'DEVICE_LOST'
  | 'DISPOSED';

/** What an error is about, besides its message. */
export interface SiftErrorDetails {
  /** The option or argument that is wrong, as a path: `tau`, `target.kind`. */
  readonly option?: string;
  /** The value that was given. */
  readonly value?: unknown;
  /** What is allowed instead, in words. */
  readonly allowed?: string;
  /** The error that caused this one. */
  readonly cause?: unknown;
}

/**
 * Every error this package throws. The message names what is wrong, the value, and what is allowed or what to
 * do about it; {@link SiftError.code} says the same to programs.
 */
export class SiftError extends Error {
  override readonly name = 'SiftError';
  readonly code: SiftErrorCode;
  readonly option?: string;
  readonly value?: unknown;
  readonly allowed?: string;

  constructor(code: SiftErrorCode, message: string, details: SiftErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = code;
    if (details.option !== undefined) this.option = details.option;
    if ('value' in details) this.value = details.value;
    if (details.allowed !== undefined) this.allowed = details.allowed;
  }
}

/** A value as it is shown in a message: short, and never throwing. */
function show(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (ArrayBuffer.isView(value) || Array.isArray(value)) {
    const length = (value as ArrayLike<unknown>).length;
    // Its constructor may be anything.
    const kind = Object.prototype.toString.call(value).slice('[object '.length, -1);
    return `${kind}${length === undefined ? '' : ` of length ${length}`}`;
  }
  if (typeof value === 'object' && value !== null) {
    const keys = Object.keys(value);
    if (keys.length > 0) return `an object (${keys.join(', ')})`;
    const kind = Object.prototype.toString.call(value).slice('[object '.length, -1);
    return kind === 'Object' ? 'an empty object' : `a ${kind}`;
  }
  return String(value);
}

/**
 * The error for an option or argument that is outside what is allowed. It is returned, not thrown, so that the
 * `throw` stays visible at the place of the check.
 *
 * @param option - name of the option, as the caller wrote it
 * @param value - the value that was given
 * @param allowed - what is allowed, in words: `a number in [0, 1)`
 */
export function invalidOption(option: string, value: unknown, allowed: string): SiftError {
  const message = `Invalid option \`${option}\`: got ${show(value)}; allowed: ${allowed}.`;
  return new SiftError('INVALID_OPTION', message, { option, value, allowed });
}
