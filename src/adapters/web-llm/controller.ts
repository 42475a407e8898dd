import { webLlm } from '../../../patches/web-llm.ts';
import { SiftError } from '../../errors.ts';
import {
  resolveCache,
  resolvePolicy,
  resolveSiftFrom,
  type SiftFrom,
  type SiftOptions,
} from '../../options.ts';
import type { ThresholdPolicy } from '../../policy/index.ts';
import type { SiftReport } from '../../report.ts';
import { buildReport, stockCacheReport } from '../report.ts';
import { shadowMethod } from '../shadow.ts';
import type { Sift } from '../sift.ts';
import { loadParser, type WgslParser } from '../wgsl-parser.ts';
import { type ChatPipeline, type Engine, findContext, findEngine } from './engine.ts';
import { PipelineSift } from './pipeline-sift.ts';

const IN_PLACE = "web-llm's own cache is paged and written in place: nothing is copied at a step";

/** Engines that have sift, to refuse it twice. */
const taken = new WeakSet<Engine>();

/**
 * Routes the decode attention of a web-llm engine's models through the sift kernel: of those that are loaded, and of those that
 * `reload` brings later.
 * @throws {SiftError} see `enableSift`.
 */
export async function enableWebLlm(target: unknown, options: SiftOptions): Promise<Sift> {
  const policy = resolvePolicy(options);
  const siftFrom = resolveSiftFrom(options);
  if (resolveCache(options) === 'shared') {
    throw new SiftError('INVALID_OPTION', `${IN_PLACE}; leave \`cache\` out.`, { option: 'cache' });
  }
  const engine = findEngine(target);
  if (taken.has(engine)) {
    throw new SiftError(
      'INVALID_OPTION',
      'This engine has sift already. Use the object that enableSift returned, or dispose of it first.',
      { option: 'engine' },
    );
  }
  taken.add(engine);
  let sift: WebLlmSift | undefined;
  try {
    sift = new WebLlmSift(engine, policy, siftFrom, await loadParser(), options.device);
    await sift.checkLoaded();
    return sift;
  } catch (error) {
    sift?.dispose();
    taken.delete(engine);
    throw error;
  }
}

class WebLlmSift implements Sift {
  enabled = true;
  private disposed = false;
  private readonly pipelines = new Map<unknown, PipelineSift>();
  /** The pipeline that worked last: what the report is about. */
  private latest: PipelineSift | undefined;
  private readonly restore: () => void;

  constructor(
    private readonly engine: Engine,
    readonly policy: ThresholdPolicy,
    private readonly siftFrom: SiftFrom,
    private readonly Parser: WgslParser,
    device: GPUDevice | undefined,
  ) {
    const loaded = engine.loadedModelIdToPipeline;
    for (const pipeline of loaded.values()) {
      const context = findContext(pipeline);
      if (device && typeof context !== 'string' && context.device !== device) {
        throw new SiftError('INVALID_OPTION', 'web-llm runs on a device of its own; leave `device` out.', {
          option: 'device',
        });
      }
    }
    for (const pipeline of loaded.values()) this.attach(pipeline);
    // reload() compiles the library before it puts the pipeline into the map, and decodes after: this is in time.
    const set = loaded.set.bind(loaded);
    this.restore = shadowMethod(loaded, 'set', (id, pipeline) => {
      this.attach(pipeline);
      return set(id, pipeline);
    });
  }

  /**
   * Waits for the kernels of the loaded models.
   * @throws {SiftError} if there are models and none of them can be sifted.
   */
  async checkLoaded(): Promise<void> {
    const all = [...this.pipelines.values()];
    await Promise.all(all.map(({ ready }) => ready));
    if (all.length === 0 || all.some(({ refused }) => refused === undefined)) return;
    const reason = all[0]!.refused!;
    const failed = reason.startsWith('SELF_TEST_FAILED');
    throw new SiftError(
      failed ? 'SELF_TEST_FAILED' : 'UNSUPPORTED_MODEL',
      `The attention of this model cannot be sifted: ${reason}.`,
    );
  }

  enable(): void {
    if (this.disposed) throw new SiftError('DISPOSED', 'This sift was disposed of. Call enableSift again.');
    this.enabled = true;
  }

  disable(): void {
    this.enabled = false;
  }

  report(): Promise<SiftReport> {
    const latest = this.latest ?? [...this.pipelines.values()].at(-1);
    return buildReport({
      enabled: this.enabled,
      policy: this.policy,
      // The package does not say its version at run time.
      runtime: { name: webLlm.runtime, version: null, tested: false },
      cache: latest?.cache,
      conversations: [...this.pipelines.values()].reduce((sum, { conversations }) => sum + conversations, 0),
      crossover: latest?.crossover ? [latest.crossover] : [],
      kvCache: stockCacheReport(IN_PLACE),
      notes: latest?.refused === undefined ? [] : [latest.refused],
    });
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.enabled = false;
    this.restore();
    for (const pipeline of [...this.pipelines.values()]) pipeline.dispose();
    this.pipelines.clear();
    taken.delete(this.engine);
  }

  private attach(pipeline: unknown): void {
    if (this.pipelines.has(pipeline)) return;
    const attached = new PipelineSift(
      pipeline as ChatPipeline,
      this.policy,
      this.siftFrom,
      this.Parser,
      () => this.enabled,
      () => {
        this.latest = attached;
      },
      () => {
        this.pipelines.delete(pipeline);
        if (this.latest === attached) this.latest = undefined;
      },
    );
    this.pipelines.set(pipeline, attached);
  }
}
