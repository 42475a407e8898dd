import type { CompareOptions, ComparePrompt, Comparison } from '../../comparison.ts';
import type { SiftError } from '../../errors.ts';
import type { InspectListener, InspectOptions } from '../../inspection.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { ReportOptions, SiftReport, SiftSummary } from '../../report.ts';
import type { LifeCycle } from './life-cycle.ts';
import { reportAs } from './report.ts';

/** Sifted attention on one pipeline or engine. Every method may be awaited. */
export interface Sift {
  /** Sifts again after {@link disable}. */
  enable(): void;
  /** Back to exactly the stock runtime. */
  disable(): void;
  /**
   * What the plugin did, for the latest conversation. Reads back from the GPU. With `summary` it is a small report, without layers and
   * heads, and with a sentence.
   *
   * ```ts
   * console.log((await sift.report({ summary: true })).sentence);
   * // Sift is on: 57 steps of 57 sifted, which read 12% of the rows of V and all of K; 14 ms a token, 70 tokens a second.
   * ```
   *
   * @throws {SiftError} `INVALID_OPTION`; `UNSUPPORTED_RUNTIME` if the code of summaries could not be loaded
   */
  report(options?: { summary?: false | undefined }): Promise<SiftReport>;
  report(options: { summary: true }): Promise<SiftSummary>;
  report(options?: ReportOptions): Promise<SiftReport | SiftSummary>;
  /**
   * Decodes the same prompt with the runtime alone and with sift, greedily, and says what it took and how far the two are apart: an A/B
   * test in one line. It waits until nothing else is being enabled or compared. Sift stays on or off as it is, and conversations of the
   * app, and what the report says of them, stay as they are on transformers.js. web-llm has one conversation for each model: the next
   * request of the app runs its whole prompt again.
   *
   * Times are of the wall clock. What else the page does meanwhile counts, and what a runtime compiles for its first prompt.
   *
   * ```ts
   * const { stock, sift: sifted, firstDifference, divergence } = await sift.compare('Once upon a time', { maxNewTokens: 32 });
   * console.log(`${stock.millisecondsPerToken} ms a token without sift, ${sifted.millisecondsPerToken} with it`);
   * console.log(firstDifference === null ? 'the same text' : `the same up to token ${firstDifference}`);
   * ```
   *
   * @param prompt a text, the messages of a chat, or the ids of tokens
   * @throws {SiftError} `INVALID_OPTION`; `COMPARE_FAILED` if a run of the model failed, with the runtime's error as the `cause`;
   * `DISPOSED`, `DEVICE_LOST`; `UNSUPPORTED_RUNTIME` if the code of comparisons could not be loaded. Where sift cannot work, why.
   * An aborted `signal` rejects with its reason instead, by default an `AbortError`.
   */
  compare(prompt: ComparePrompt, options?: CompareOptions): Promise<Comparison>;
  /**
   * Tells which V rows decode steps read, layer by layer and key by key: for charts, and to see what a policy does. It is off until it is
   * called, and then costs a step a few writes and a copy of one bit for each key; nothing waits for the copy. While it is under way,
   * further steps are not inspected, so that a fast model is told of some steps only. On transformers.js, with `keys: 'exact'`.
   *
   * ```ts
   * const stop = await sift.inspect(({ length, layers }) => {
   *   const { keys, heads } = layers[0]!;
   *   console.log(`${length} tokens: the first KV head read ${heads[0]!.rows} of ${keys} V rows`);
   * }, { layers: [0] });
   * await generator(prompt);
   * stop();
   * ```
   *
   * @returns what ends it
   * @throws {SiftError} `INVALID_OPTION` for a layer that does not sift, or with `keys: 'shadow'`; `UNSUPPORTED_RUNTIME` on web-llm, where the GPU
   * binds too few buffers, or if the code could not be loaded; `SELF_TEST_FAILED` if a kernel does not compile; `DISPOSED`,
   * `DEVICE_LOST`. Where sift cannot work, why.
   */
  inspect(listener: InspectListener, options?: InspectOptions): Promise<() => void>;
  /** Disables and frees everything. Also done when a pipeline is disposed of. */
  dispose(): void;
  /** The policy in use. */
  readonly policy: ThresholdPolicy;
  readonly enabled: boolean;
  /** Why sift cannot work here, where `onUnsupported: 'ignore'` was asked for; null if it can. */
  readonly unsupported: SiftError | null;
}

/** What the sifts of both runtimes have in common: their state is that of a {@link LifeCycle}. */
export abstract class LivingSift implements Sift {
  readonly unsupported = null;

  constructor(
    readonly policy: ThresholdPolicy,
    protected readonly life: LifeCycle,
  ) {}

  get enabled(): boolean {
    return this.life.state === 'on';
  }

  enable(): void {
    this.life.enable();
  }

  disable(): void {
    this.life.disable();
  }

  dispose(): void {
    this.life.dispose();
  }

  report(options: ReportOptions = {}): Promise<SiftReport & SiftSummary> {
    return reportAs(options, () => this.fullReport());
  }

  protected abstract fullReport(): Promise<SiftReport>;

  abstract inspect(listener: InspectListener, options?: InspectOptions): Promise<() => void>;

  abstract compare(prompt: ComparePrompt, options?: CompareOptions): Promise<Comparison>;
}
