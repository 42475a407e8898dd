/**
 * Pairs the elements of two lists in their order, as many as possible, such that those of a pair have the same key. An element without a
 * counterpart is in no pair.
 *
 * @returns pairs of places in the two lists
 */
export function align(a: readonly string[], b: readonly string[]): [number, number][] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const pairs: [number, number][] = Array.from({ length: start }, (_, i) => [i, i]);
  const middle = commonSubsequence(a.slice(start, a.length - end), b.slice(start, b.length - end));
  for (const [i, j] of middle) pairs.push([start + i, start + j]);
  for (let i = end; i > 0; i--) pairs.push([a.length - i, b.length - i]);
  return pairs;
}

/** The longest common subsequence, by the table of the lengths of those of all ends of the lists. */
function commonSubsequence(a: readonly string[], b: readonly string[]): [number, number][] {
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const at = i * width + j;
      longest[at] =
        a[i] === b[j] ? longest[at + width + 1]! + 1 : Math.max(longest[at + width]!, longest[at + 1]!);
    }
  }
  const pairs: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const at = i * width + j;
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (longest[at + width]! >= longest[at + 1]!) i++;
    else j++;
  }
  return pairs;
}
