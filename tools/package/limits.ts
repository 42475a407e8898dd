// How much the package may weigh, in bytes. What is here is checked on what is packed (weight.pack.ts, contents.pack.ts).

/** What an import costs a page, minified and compressed by gzip. */
export const WEIGHT_LIMITS: Readonly<Record<string, { readonly code: string; readonly limit: number }>> = {
  'enableSift of sift-attention, on transformers.js': {
    code: "import { enableSift } from 'sift-attention'; globalThis.run = (model) => enableSift(model);",
    limit: 70_000,
  },
  'enableSift of sift-attention/transformers': {
    code: "import { enableSift } from 'sift-attention/transformers'; globalThis.run = (model) => enableSift(model);",
    limit: 68_000,
  },
  'enableSift of sift-attention/web-llm': {
    code: "import { enableSift } from 'sift-attention/web-llm'; globalThis.run = (engine) => enableSift(engine);",
    limit: 56_500,
  },
  'createSiftAttention of sift-attention/kernel': {
    code: "import { createSiftAttention } from 'sift-attention/kernel'; globalThis.run = (device, shape) => createSiftAttention(device, shape);",
    limit: 45_000,
  },
  'sift-attention/register': { code: "import 'sift-attention/register';", limit: 1_000 },
};

/** What is packed, compressed as it is published, with its source maps. */
export const PACKED_LIMIT = 280_000;
