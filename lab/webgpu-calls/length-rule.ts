/** How a number follows from the length of the cache. */
export type LengthRule =
  /** slope · length + offset; a constant has the slope 0. */
  | { kind: 'linear'; slope: number; offset: number }
  /** factor · ceil(length / tile) */
  | { kind: 'tiles'; tile: number; factor: number };

/** Sizes of tiles that are tried. */
const TILES = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/**
 * Finds the rule that gives all values; undefined if it is none of those that are tried. With too few lengths a number of tiles looks
 * constant, so that the lengths should pass the border of a tile.
 *
 * @param lengths - keys in the cache at each step
 * @param values - the number at each step
 */
export function findLengthRule(
  lengths: readonly number[],
  values: readonly number[],
): LengthRule | undefined {
  const [length, value] = [lengths[0]!, values[0]!];
  const last = lengths.length - 1;
  // The difference of two infinities is no number.
  const slope =
    last === 0 || values[last] === value ? 0 : (values[last]! - value) / (lengths[last]! - length);
  const rules: LengthRule[] = [
    { kind: 'linear', slope, offset: slope === 0 ? value : value - slope * length },
    ...TILES.map((tile) => ({ kind: 'tiles', tile, factor: value / Math.ceil(length / tile) }) as const),
  ];
  return rules.find((rule) => values.every((each, i) => each === applyRule(rule, lengths[i]!)));
}

export function applyRule(rule: LengthRule, length: number): number {
  if (rule.kind === 'tiles') return Math.ceil(length / rule.tile) * rule.factor;
  return rule.slope === 0 ? rule.offset : rule.slope * length + rule.offset;
}

export const isConstant = (rule: LengthRule | undefined): boolean =>
  rule?.kind === 'linear' && rule.slope === 0;

/** The rule as a formula of n, the length. */
export function describeRule(rule: LengthRule | undefined): string {
  if (!rule) return 'no rule found';
  const times = (factor: number, text: string) => (factor === 1 ? text : `${factor} · ${text}`);
  if (rule.kind === 'tiles') return times(rule.factor, `ceil(n / ${rule.tile})`);
  const { slope, offset } = rule;
  if (slope === 0) return String(offset);
  const part = times(slope, 'n');
  return offset === 0 ? part : `${part} ${offset < 0 ? '−' : '+'} ${Math.abs(offset)}`;
}
