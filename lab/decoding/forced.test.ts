import { expect, test } from 'vitest';
import type { Decoder, Outputs } from './decoder.ts';
import { continueGreedily, decodeForced } from './forced.ts';
import { prefill, Sequence } from './sequence.ts';

/** Says that the next token is the last one plus 1, of 8; its past is the list of the tokens so far. */
class CountingDecoder {
  /** The tokens of each pass. */
  readonly passes: number[][] = [];
  /** Lengths of the pasts that were freed, in order. */
  readonly freed: number[] = [];

  constructor(private readonly chunk?: number) {}

  get decoder(): Decoder {
    return {
      model: undefined as never,
      ...(this.chunk === undefined ? {} : { chunk: this.chunk }),
      inputs: (tokens, total) => ({ tokens: { tokens, total } }) as unknown as Outputs,
      forward: async ({ tokens: inputs, past_key_values: past }) => {
        const { tokens, total } = inputs as { tokens: number[]; total: number };
        const { before } = (past ?? { before: [] }) as { before: number[] };
        const all = [...before, ...tokens];
        expect(all).toHaveLength(total);
        this.passes.push([...tokens]);
        return this.outputs(all);
      },
      pastOf: ({ present }, length) => {
        const { tokens } = present as unknown as { tokens: number[] };
        expect(tokens).toHaveLength(length);
        return { before: tokens } as unknown as Outputs;
      },
    };
  }

  private outputs(all: number[]): Outputs {
    const next = (all.at(-1)! + 1) % 8;
    const data = Float32Array.from({ length: 8 }, (_, token) => (token === next ? 2 : 0));
    return {
      logits: { location: 'cpu', ort_tensor: { data, dims: [1, 1, 8] }, dispose: () => expect.fail() },
      present: { location: 'gpu-buffer', tokens: all, dispose: () => this.freed.push(all.length) },
    } as unknown as Outputs;
  }
}

test('a sequence frees what each pass put out once the next has run, and the last when it is disposed of', async () => {
  const model = new CountingDecoder(2);
  const sequence = new Sequence(model.decoder);
  expect(() => sequence.outputs).toThrow('No token');
  await sequence.feed([1, 2, 3, 4, 5]);
  await sequence.feed([6]);
  expect(model.passes).toEqual([[1, 2], [3, 4], [5], [6]]);
  expect([sequence.length, model.freed]).toEqual([6, [2, 4, 5]]);
  sequence.dispose();
  expect(model.freed).toEqual([2, 4, 5, 6]);
});

test('forced decoding feeds the given tokens; a past that was given is used again and not freed', async () => {
  const model = new CountingDecoder();
  const tokens = [3, 1, 4, 1, 5];
  const past = await prefill(model.decoder, tokens.slice(0, 2));
  for (let i = 0; i < 2; i++) {
    const steps: number[] = [];
    await decodeForced(model.decoder, { tokens, prompt: 2, steps: 2, past }, (step, row) => {
      steps.push(step);
      expect(row.reduce((sum, value) => sum + Math.exp(value), 0)).toBeCloseTo(1);
    });
    expect(steps).toEqual([1, 2]);
  }
  expect(model.passes).toEqual([[3, 1], [4], [1], [4], [1]]);
  expect(model.freed).toEqual([3, 4, 3, 4]);
  await decodeForced(model.decoder, { tokens, prompt: 2, steps: 1 }, () => {});
  expect(model.passes.slice(5)).toEqual([[3, 1], [4]]);
  expect(model.freed.slice(4)).toEqual([2, 3]);
});

test('a continuation feeds the given tokens and then the most likely ones', async () => {
  const model = new CountingDecoder();
  const { top, logits } = await continueGreedily(model.decoder, [0, 1], [5], 2);
  expect(model.passes).toEqual([[0, 1], [5], [6], [7]]);
  expect(top).toEqual([2, 6, 7, 0]);
  expect(logits.map((row) => row.length)).toEqual([8, 8, 8, 8]);
  expect(model.freed).toEqual([2, 3, 4, 5]);
});
