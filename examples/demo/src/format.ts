const integer = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export const count = (value: number): string => integer.format(value);

export const percent = (value: number, digits = 1): string => `${(value * 100).toFixed(digits)}%`;

/** A number with three significant digits; small ones as a power of ten. */
export function short(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size < 1e-3 || size >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let scaled = value;
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${unit === 0 ? integer.format(scaled) : Number(scaled.toPrecision(3))} ${units[unit]}`;
}

/** Tokens per second of a number of steps; a dash where there were none. */
export function speed(tokensPerSecond: number | null): string {
  if (tokensPerSecond === null) return '–';
  return tokensPerSecond >= 100 ? integer.format(tokensPerSecond) : tokensPerSecond.toPrecision(3);
}
