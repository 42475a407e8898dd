import { invalidOption, SiftError } from './errors.ts';

/** How many letters are to be added, taken away or changed to get from one word to another (Levenshtein's distance). */
function distance(a: string, b: string): number {
  let row = [...Array(b.length + 1).keys()];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}

/** The name that was meant, if a name looks like a slip of the keyboard: whatever the case, a third of its letters may be wrong. */
function meant(name: string, names: readonly string[]): string | undefined {
  const far = (other: string) => distance(name.toLowerCase(), other.toLowerCase());
  const nearest = [...names].sort((a, b) => far(a) - far(b))[0];
  return nearest !== undefined && far(nearest) <= nearest.length / 3 ? nearest : undefined;
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
