import type { Quality } from '../../../src/index.ts';

/** The presets, with what docs/quality.md measured on the small model, text it was not trained on, second half. */
export const PRESETS: readonly { quality: Quality; note: string }[] = [
  { quality: 'exact', note: 'Every V row is read, by our kernels. The text is that of stock.' },
  {
    quality: 'high',
    note: 'About 15% of the V rows are read. Mean KL 0.00005 nats a token; 99.7% of the tokens are the same.',
  },
  {
    quality: 'balanced',
    note: 'The default. About 9% of the V rows are read. Mean KL 0.0003; 99.4% of the tokens are the same.',
  },
  {
    quality: 'fast',
    note: 'About 6% of the V rows are read. Mean KL 0.0009; 98.6% of the tokens are the same.',
  },
];
