// The forms in which model families have their attention, one small decoder each: which layers are served, why others are not, and that
// tokens are stock's with every row read. `npm run matrix` does the same with a folder of real exports.
import { expect, test } from 'vitest';
import { type SmallDecoder, smallDecoder } from '../tools/models/small-decoder.ts';
import { pluginPage } from './plugin-page.ts';

interface Family {
  options: SmallDecoder;
  /** Layers whose attention goes through our kernels; once for each attention where several attend to one layer's keys. */
  served: readonly number[];
  /** Words of the reason why layers are not served; or, where none is, of the error. */
  reason?: string;
}

const FAMILIES: Record<string, Family> = {
  packed: { options: { packed: true }, served: [0, 1] },
  norms: { options: { norms: true }, served: [0, 1] },
  'sinks-on-one-layer': { options: { sinks: [1] }, served: [0, 1] },
  window: { options: { windows: { 1: 24 } }, served: [0], reason: 'window' },
  borrowing: { options: { borrowing: 1 }, served: [0, 1, 1] },
  convolution: { options: { layers: 3, convolutions: [0, 2] }, served: [1] },
  embeds: { options: { embeds: true }, served: [0, 1] },
  fused: { options: { attention: 'fused' }, served: [], reason: 'adds a bias' },
  nodes: { options: { attention: 'nodes' }, served: [], reason: 'GroupQueryAttention' },
};

const VOCABULARY = 260;

const session = pluginPage(
  '',
  Object.fromEntries(
    Object.entries(FAMILIES).map(([name, { options }]) => [
      name,
      smallDecoder({ ...options, vocabulary: VOCABULARY }),
    ]),
  ),
);

/** Longer than the window and than the text that the plugin tries a model on. */
const PROMPT = Array.from({ length: 80 }, (_, i) => 1 + ((i * 61) % (VOCABULARY - 8)));

test.each(Object.entries(FAMILIES))('%s', async (name, { served, reason }) => {
  const result = await session.page.evaluate(
    async ([name, prompt, refused]) => {
      const { loadSmall, enableSift, generate, failure } = window.sift;
      const generator = await loadSmall(name);
      const options = { quality: 'exact', siftFrom: 0 } as const;
      try {
        if (refused) {
          const error = await failure(() => enableSift(generator, options));
          return { error, tokens: await generate(generator, prompt, 8) };
        }
        const sift = await enableSift(generator, options);
        const ours = await generate(generator, prompt, 8);
        const { layers, reasons, steps } = await sift.report();
        sift.disable();
        const stock = await generate(generator, prompt, 8);
        const words = reasons.map((entry) => entry.reason).join('; ');
        return { ours, stock, served: layers.map(({ layer }) => layer), reasons: words, steps };
      } finally {
        await generator.dispose();
      }
    },
    [name, PROMPT, served.length === 0] as const,
  );
  if (served.length === 0) {
    expect(result.error?.code).toBe('UNSUPPORTED_MODEL');
    expect(result.error?.message).toContain(reason);
    expect(result.tokens).toHaveLength(8);
  } else {
    expect(result.ours).toEqual(result.stock);
    expect(result.served).toEqual(served);
    expect(result.steps).toEqual({ sifted: 0, dense: 7 });
    if (reason !== undefined) expect(result.reasons).toContain(reason);
  }
});
