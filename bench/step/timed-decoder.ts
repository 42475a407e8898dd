import type { Decoder } from '../../lab/decoding/decoder.ts';

/**
 * The same decoder, with a clock.
 *
 * @param ms - is given the milliseconds of each pass, from the making of its inputs until its logits are there
 */
export function timedDecoder(decoder: Decoder, ms: number[]): Decoder {
  let start = 0;
  return {
    model: decoder.model,
    inputs: (tokens, total) => {
      start = performance.now();
      return decoder.inputs(tokens, total);
    },
    forward: async (inputs) => {
      const outputs = await decoder.forward(inputs);
      ms.push(performance.now() - start);
      return outputs;
    },
    pastOf: (outputs, length) => decoder.pastOf(outputs, length),
  };
}
