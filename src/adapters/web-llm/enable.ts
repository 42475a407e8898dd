import { webLlm } from '../../../patches/web-llm.ts';
import type { CompareOptions, ComparePrompt, Comparison } from '../../comparison.ts';
import { SiftError } from '../../errors.ts';
import { LaterPart } from '../../later-part.ts';
import { checkSignal } from '../../option-checks.ts';
import {
  resolveCache,
  resolvePolicy,
  resolveProgress,
  resolveSiftFrom,
  type SiftFrom,
  type SiftOptions,
} from '../../options.ts';
import { type ThresholdPolicy, withExactKeys } from '../../policy/index.ts';
import type { SiftReport } from '../../report.ts';
import { intercept } from '../shared/interception.ts';
import { LifeCycle } from '../shared/life-cycle.ts';
import { EnablingProgress } from '../shared/progress.ts';
import { buildReport, stockCacheReport } from '../shared/report.ts';
import { LivingSift, type Sift } from '../shared/sift.ts';
import type { compare as Compare } from './compare.ts';
import { type ChatPipeline, findContext, findEngine } from './engine.ts';
import { type EngineSift, PipelineSift } from './pipeline-sift.ts';
import type { Engine } from './target.ts';

/** The code of comparisons. */
export const COMPARISONS = new LaterPart<{ compare: typeof Compare }>('The code of comparisons');

const IN_PLACE = "web-llm's own cache is paged and written in place: nothing is copied at a step";

/** Why the option `keys: 'shadow'` makes no difference. */
const NO_SHADOW = 'all of K is read: a cache in pages has no shadow yet';

/**
 * Routes the decode attention of a web-llm engine's models through the sift kernel: of those that are loaded, and of those that
 * `reload` brings later.
 * @throws {SiftError} see `enableSift`.
 */
export async function enableWebLlm(target: unknown, options: SiftOptions): Promise<Sift> {
  const asked = resolvePolicy(options);
  const policy = withExactKeys(asked);
  const siftFrom = resolveSiftFrom(options);
  if (resolveCache(options) === 'shared') {
    throw new SiftError('INVALID_OPTION', `${IN_PLACE}; leave \`cache\` out.`, { option: 'cache' });
  }
  const progress = new EnablingProgress(resolveProgress(options));
  const engine = findEngine(target);
  const signal = checkSignal(options.signal);
  const life = LifeCycle.begin(engine, 'engine', signal);
  try {
    life.check();
    const sift = new WebLlmSift(engine, policy, siftFrom, life, asked === policy ? [] : [NO_SHADOW]);
    sift.signal = signal;
    // web-llm's models are attached to side by side, and each of them is compiled for, compared and calibrated by itself.
    progress.begin('compiling');
    sift.attachLoaded(options.device);
    life.start();
    await sift.checkLoaded();
    // Models that are loaded from now on are none of the signal's business.
    sift.signal = undefined;
    signal?.throwIfAborted();
    life.check();
    progress.begin('done');
    return sift;
  } catch (error) {
    throw life.fail(error);
  } finally {
    progress.end();
  }
}

/** Sifted attention on the models of one web-llm engine. */
class WebLlmSift extends LivingSift implements EngineSift {
  private readonly pipelines = new Map<unknown, PipelineSift>();
  signal: AbortSignal | undefined;
  /** The pipeline that worked last: what the report is about. */
  private latest: PipelineSift | undefined;

  constructor(
    private readonly engine: Engine,
    policy: ThresholdPolicy,
    readonly siftFrom: SiftFrom,
    life: LifeCycle,
    private readonly notes: readonly string[],
  ) {
    super(policy, life);
  }

  /** Attaches to the models that are loaded, and to those that will be. */
  attachLoaded(device: GPUDevice | undefined): void {
    const loaded = this.engine.loadedModelIdToPipeline;
    for (const pipeline of device ? loaded.values() : []) {
      if (findContext(pipeline).device !== device) {
        throw new SiftError('INVALID_OPTION', 'web-llm runs on a device of its own; leave `device` out.', {
          option: 'device',
        });
      }
    }
    for (const pipeline of loaded.values()) this.attach(pipeline);
    // reload() compiles the library before it puts the pipeline into the map, and decodes after: this is in time.
    const set = intercept(loaded, 'set', (original, interception) => (id, pipeline) => {
      if (interception.active) this.attach(pipeline);
      return original.call(loaded, id, pipeline);
    });
    this.life.defer(() => {
      set.remove();
      for (const pipeline of [...this.pipelines.values()]) pipeline.dispose();
    });
  }

  /**
   * Waits for the kernels of the loaded models.
   * @throws {SiftError} if there are models and none of them can be sifted.
   */
  async checkLoaded(): Promise<void> {
    const all = [...this.pipelines.values()];
    await Promise.all(all.map(({ ready }) => ready));
    if (all.length > 0 && all.every(({ refused }) => refused)) throw all[0]!.refused!;
  }

  async compare(prompt: ComparePrompt, options: CompareOptions = {}): Promise<Comparison> {
    const { compare } = await COMPARISONS.get();
    const { engine, life } = this;
    return compare({ engine, life, model: this.current }, prompt, options);
  }

  /** @throws {SiftError} `UNSUPPORTED_RUNTIME` */
  async inspect(): Promise<() => void> {
    throw new SiftError(
      'UNSUPPORTED_RUNTIME',
      'On web-llm steps cannot be inspected: with the page table of its cache, the kernels would bind more buffers than every device allows.',
    );
  }

  private get current(): PipelineSift | undefined {
    return this.latest ?? [...this.pipelines.values()].at(-1);
  }

  protected fullReport(): Promise<SiftReport> {
    const latest = this.current;
    return buildReport({
      state: this.life.state,
      lost: latest?.life.lost,
      policy: this.policy,
      // The package does not say its version at run time.
      runtime: { name: webLlm.runtime, version: null, tested: false },
      conversation: latest?.conversation,
      conversations: [...this.pipelines.values()].reduce((sum, { conversations }) => sum + conversations, 0),
      crossover: latest?.crossover ? [latest.crossover] : [],
      kvCache: stockCacheReport(IN_PLACE),
      notes: [
        ...this.notes,
        ...(latest?.refused ? [`${latest.refused.code}: ${latest.refused.message}`] : []),
      ],
    });
  }

  used(pipeline: PipelineSift): void {
    this.latest = pipeline;
  }

  gone(pipeline: PipelineSift): void {
    this.pipelines.delete(pipeline.pipeline);
    if (this.latest === pipeline) this.latest = undefined;
  }

  private attach(pipeline: unknown): void {
    if (!this.pipelines.has(pipeline))
      this.pipelines.set(pipeline, new PipelineSift(pipeline as ChatPipeline, this));
  }
}
