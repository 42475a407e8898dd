// What a person can do about an error.

const CAUSES: readonly (readonly [RegExp, string])[] = [
  [
    /fetch|network/i,
    'A file of the model did not arrive. Models of the hub need a network the first time. The embedded model needs none.',
  ],
  [
    /not locate|404|401|unauthorized/i,
    'The hub has no model of this name, or not with these weights. Check the name and the weights in the settings.',
  ],
  [
    /out of memory|OUT_OF_MEMORY|allocat/i,
    'The GPU has no room for this. Let fewer tokens of a page be read, or choose a smaller model.',
  ],
  [/device.*lost|lost.*device/i, 'The browser lost the GPU. Ask again: the model is loaded anew.'],
];

/** An error whose message is for the user as it is. */
export class PlainError extends Error {}

/** Says what can be done, and gives the message of the library after it. */
export function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof PlainError) return message;
  const cause = CAUSES.find(([pattern]) => pattern.test(message));
  return cause ? `${cause[1]} (${message})` : `The model could not answer. (${message})`;
}
