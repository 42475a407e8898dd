import { TextStreamer } from '@huggingface/transformers';

/** A streamer as an application has one, which notes when the tokens come. */
export class TimedStreamer extends TextStreamer {
  /** Milliseconds, as `performance.now()` gives them: one for each token. */
  readonly times: number[] = [];
  private sawPrompt = false;

  /** @param onToken - gets the number of tokens so far */
  constructor(
    tokenizer: ConstructorParameters<typeof TextStreamer>[0],
    private readonly onToken: (tokens: number) => void,
  ) {
    super(tokenizer, { skip_prompt: true, callback_function: () => {} });
  }

  override put(value: bigint[][]): void {
    super.put(value);
    if (!this.sawPrompt) {
      this.sawPrompt = true;
      return;
    }
    this.times.push(performance.now());
    this.onToken(this.times.length);
  }
}
