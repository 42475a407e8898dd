// How much the package may weigh, in bytes. What is here is checked on what is packed (weight.pack.ts, contents.pack.ts).

/**
 * What an import costs a page, minified and compressed by gzip. The first does not count what the page loads when it needs it: what is for
 * web-llm, comparisons, summaries, and the kernels of other options. The entries for one runtime have all of it, so that nothing is loaded
 * later.
 */
export const WEIGHT_LIMITS: Readonly<Record<string, { readonly code: string; readonly limit: number }>> = {
  'enableSift of sift-attention, on transformers.js': {
    code: "import { enableSift } from 'sift-attention'; globalThis.run = (model) => enableSift(model);",
    // 60 KB.
    limit: 61_440,
  },
  'enableSift of sift-attention/transformers': {
    code: "import { enableSift } from 'sift-attention/transformers'; globalThis.run = (model) => enableSift(model);",
    limit: 76_000,
  },
  'enableSift of sift-attention/web-llm': {
    code: "import { enableSift } from 'sift-attention/web-llm'; globalThis.run = (engine) => enableSift(engine);",
    limit: 60_500,
  },
  'createSiftAttention of sift-attention/kernel': {
    code: "import { createSiftAttention } from 'sift-attention/kernel'; globalThis.run = (device, shape) => createSiftAttention(device, shape);",
    limit: 45_000,
  },
  'sift-attention/register': { code: "import 'sift-attention/register';", limit: 1_000 },
};

/** What is packed, compressed as it is published. More than half of it are the source maps, which bring their sources along. */
export const PACKED_LIMIT = 325_000;
