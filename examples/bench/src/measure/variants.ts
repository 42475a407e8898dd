import type { SiftOptions } from '../../../../src/index.ts';

/** The ways in which a model is decoded: options of the plugin, or null for the runtime alone. */
export const VARIANTS = {
  stock: null,
  default: {},
  exact: { quality: 'exact' },
  'default, stock cache': { cache: 'stock' },
  'exact, stock cache': { quality: 'exact', cache: 'stock' },
  high: { quality: 'high' },
  'default, always sifting': { siftFrom: 0 },
  shadow: { keys: 'shadow' },
} as const satisfies Record<string, SiftOptions | null>;

export type VariantName = keyof typeof VARIANTS;

export const VARIANT_NAMES = Object.keys(VARIANTS) as VariantName[];
