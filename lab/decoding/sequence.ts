import { type Decoder, free, type Outputs } from './decoder.ts';

/** A sequence of tokens that grows as a model is fed with more of them. It holds what the last pass put out, the KV cache among it. */
export class Sequence {
  private last: Outputs | undefined;
  private count: number;
  /** The outputs that the sequence began with: whoever gave them frees them. */
  private readonly given: Outputs | undefined;

  /**
   * @param past - what a pass put out, from which the sequence goes on; it stays the caller's
   * @param length - tokens that had run by then
   */
  constructor(
    private readonly decoder: Decoder,
    past?: Outputs,
    length = 0,
  ) {
    this.last = past;
    this.given = past;
    this.count = length;
  }

  /** Tokens that have run. */
  get length(): number {
    return this.count;
  }

  /** What the last pass put out; it is freed by the next one. */
  get outputs(): Outputs {
    if (!this.last) throw new Error('No token has run yet.');
    return this.last;
  }

  /** Runs more tokens, in parts where the decoder needs that, and frees what the passes before put out. */
  async feed(tokens: readonly number[]): Promise<Outputs> {
    const { decoder } = this;
    const size = Math.min(tokens.length, decoder.chunk ?? tokens.length);
    for (let at = 0; at < tokens.length; at += size) {
      const part = tokens.slice(at, at + size);
      const before = this.last;
      this.last = await decoder.forward({
        ...decoder.inputs(part, this.count + part.length),
        ...(before ? { past_key_values: decoder.pastOf(before, this.count) } : {}),
      });
      this.count += part.length;
      if (before && before !== this.given) free(before);
    }
    return this.outputs;
  }

  /** Frees what the last pass put out. */
  dispose(): void {
    if (this.last && this.last !== this.given) free(this.last);
    this.last = undefined;
  }
}

/** Runs a prompt. What it puts out is the caller's, to go on from as often as needed. */
export const prefill = (decoder: Decoder, prompt: readonly number[]): Promise<Outputs> =>
  new Sequence(decoder).feed(prompt);
