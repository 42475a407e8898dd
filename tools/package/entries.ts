/** The entries of the package: src/NAME.ts becomes dist/NAME.js and dist/NAME.d.ts, which `exports` of package.json names. */
export const ENTRIES = ['index', 'transformers', 'web-llm', 'kernel', 'register'] as const;
