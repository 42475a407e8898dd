/** A long prompt of the wanted number of words, one line of which is worth finding. */
export function filler(words: number): string {
  const lines = Array.from({ length: Math.floor(words / 10) }, (_, i) =>
    i === Math.floor(words / 23)
      ? `Line ${i}: the keeper of the lighthouse counted the ships at dusk.`
      : `Line ${i}: in the harbour the boats were waiting for wind.`,
  );
  return lines.join('\n');
}
