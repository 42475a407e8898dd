import { invalidOption, SiftError } from './errors.ts';

/** The name that was meant, if one begins with the same letters, whatever their case. */
function meant(name: string, names: readonly string[]): string | undefined {
  const start = (other: string) => other.slice(0, 3).toLowerCase();
  return names.find((other) => start(other) === start(name));
}

/**
 * Checks that options are an object with known names alone.
 * @throws {SiftError} `INVALID_OPTION`, with the names that are allowed, and the one that was meant if a name looks like a typing error
 */
export function checkNames(options: object, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', options, 'an object');
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const allowed = names.join(', ');
    const suggestion = meant(name, names);
    throw new SiftError(
      'INVALID_OPTION',
      `Unknown option \`${name}\`; allowed: ${allowed}.${suggestion ? ` Did you mean \`${suggestion}\`?` : ''}`,
      { option: name, value: (options as Record<string, unknown>)[name], allowed },
    );
  }
}

/**
 * Checks the option `signal`.
 * @throws {SiftError} `INVALID_OPTION`
 */
export function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  // Not by its class: a frame has one of its own.
  if (signal === undefined || typeof (signal as Partial<AbortSignal> | null)?.addEventListener === 'function')
    return signal;
  throw invalidOption('signal', signal, 'an AbortSignal');
}
