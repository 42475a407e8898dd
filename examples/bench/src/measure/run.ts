import { env } from '@huggingface/transformers';
import type { BenchModel, BenchRow, BrowserBench } from '../../../../bench/browser/format.ts';
import { quantile } from '../../../../lab/statistics.ts';
import { type EnableProgress, enableSift, type Sift, type SiftReport } from '../../../../src/index.ts';
import { GpuTimes } from './gpu-times.ts';
import { LoadedModel } from './loaded-model.ts';
import { MODELS } from './models.ts';
import { type LengthPlan, type ModelPlan, weightOf } from './plan.ts';
import { VARIANTS, type VariantName } from './variants.ts';

/** What a run tells while it goes on. */
export interface Progress {
  /** What is being done. */
  stage: string;
  /** Share of the whole run that is done. */
  share: number;
}

/** Where a run puts what it finds, as soon as it finds it: a run that ends early was of use. */
export type Found = Pick<BrowserBench, 'models' | 'rows' | 'missing'>;

export interface RunOptions {
  found: Found;
  signal: AbortSignal;
  onProgress: (progress: Progress) => void;
  /** Called when `found` has more. */
  onFound?: () => void;
  /** For those who measure the main thread from outside: called once in one more generation of each variant. */
  observer?: { begin: () => Promise<void>; end: (steps: number) => Promise<Record<string, number>> };
}

/** The device was lost: nothing more can be measured in this page. */
export class DeviceLostError extends Error {}

/** One generation of a variant. */
interface Turn {
  steps: number[];
  firstStepMs: number;
  firstTokenMs: number | null;
  enableMs: number | null;
  report: SiftReport | null;
}

/**
 * Measures what plans ask for, one model after another.
 * @throws {DeviceLostError}, or the signal's reason
 */
export async function runPlans(plans: readonly ModelPlan[], options: RunOptions): Promise<void> {
  const weights = plans.flatMap((plan) => plan.lengths.map((length) => weightOf(length, plan)));
  // A plan without lengths only enables the plugin.
  const whole = Math.max(
    1,
    weights.reduce((sum, weight) => sum + weight, 0),
  );
  let done = 0;
  for (const plan of plans) {
    const model = new ModelRun(plan, options, (stage, ahead) =>
      options.onProgress({ stage, share: (done + ahead) / whole }),
    );
    await model.run((weight) => {
      done += weight;
    });
  }
}

class ModelRun {
  private lost: string | undefined;

  constructor(
    private readonly plan: ModelPlan,
    private readonly options: RunOptions,
    /** Gets what is done, and the weight of what has been done of a length that is not finished. */
    private readonly progress: (stage: string, ahead: number) => void,
  ) {}

  async run(onDone: (weight: number) => void): Promise<void> {
    const { plan, progress } = this;
    const choice = MODELS.find(({ name }) => name === plan.model);
    if (!choice) throw new Error(`There is no model "${plan.model}".`);
    progress(`Making ${choice.title}`, 0);
    const model = await LoadedModel.load(choice, plan.dtype, (share) =>
      progress(`Making ${choice.title}, ${Math.round(100 * share)}%`, 0),
    );
    void model.device.lost.then(({ message }) => {
      this.lost = message || 'the browser does not say why';
    });
    try {
      this.note(await this.enableFirst(model));
      for (const length of plan.lengths) {
        await this.measure(model, length);
        onDone(weightOf(length, plan));
      }
    } finally {
      await model.dispose().catch(() => {});
    }
  }

  /** Enables the plugin once, which calibrates, before anything is timed. */
  private async enableFirst(model: LoadedModel): Promise<BenchModel> {
    const begin = performance.now();
    performance.clearMeasures();
    const onProgress = ({ stage }: EnableProgress) => this.progress(`Enabling the plugin: ${stage}`, 0);
    const sift = await this.guarded(() => enableSift(model.generator, { onProgress }));
    const firstEnableMs = performance.now() - begin;
    const { crossover } = await sift.report();
    sift.dispose();
    const { name, shape } = model.choice;
    const { layers, queryHeads, kvHeads, headSize } = shape;
    return {
      ...{ name, dtype: model.dtype, layers, queryHeads, kvHeads, headSize },
      loadMs: model.loadMs,
      firstEnableMs,
      enableStages: stagesOfTimeline(),
      siftFrom: crossover[0]?.siftFrom ?? null,
    };
  }

  private async measure(model: LoadedModel, length: LengthPlan): Promise<void> {
    const turns = new Map<VariantName, Turn[]>(length.variants.map((variant) => [variant, []]));
    const failed = new Map<VariantName, string>();
    const parts = length.turns * length.variants.length;
    let part = 0;
    for (let turn = 0; turn < length.turns; turn++) {
      for (const variant of turn % 2 ? [...length.variants].reverse() : length.variants) {
        this.options.signal.throwIfAborted();
        this.progress(
          `${length.context.toLocaleString('en')} tokens, ${variant}, turn ${turn + 1} of ${length.turns}`,
          (weightOf(length, this.plan) * part++) / parts,
        );
        if (failed.has(variant)) continue;
        try {
          turns.get(variant)!.push(await this.guarded(() => this.turn(model, length, variant)));
        } catch (error) {
          if (error instanceof DeviceLostError || this.options.signal.aborted) throw error;
          failed.set(variant, error instanceof Error ? error.message : String(error));
        }
      }
    }
    for (const [variant, all] of turns) {
      const reason = failed.get(variant);
      const { context } = length;
      if (reason !== undefined)
        this.options.found.missing.push({ model: model.choice.name, context, variant, reason });
      else this.options.found.rows.push(await this.row(model, length, variant, all));
      this.options.onFound?.();
    }
    model.freePast();
  }

  private async row(
    model: LoadedModel,
    length: LengthPlan,
    variant: VariantName,
    turns: readonly Turn[],
  ): Promise<BenchRow> {
    const median = (values: readonly (number | null)[]): number | null =>
      values[0] === null ? null : quantile(values as number[], 0.5);
    const medians = turns.map(({ steps }) => quantile(steps, 0.5));
    const report = turns.at(-1)!.report;
    const { context, past } = length;
    return {
      model: model.choice.name,
      context,
      past,
      variant,
      msMedian: quantile(medians, 0.5),
      msP90: quantile(
        turns.flatMap(({ steps }) => steps),
        0.9,
      ),
      turns: medians,
      steps: this.plan.steps,
      firstStepMs: median(turns.map(({ firstStepMs }) => firstStepMs))!,
      firstTokenMs: median(turns.map(({ firstTokenMs }) => firstTokenMs)),
      enableMs: median(turns.map(({ enableMs }) => enableMs)),
      keptGroup: report?.keptGroup ?? null,
      siftedSteps: report?.steps.sifted ?? 0,
      cache: report?.cache.kind ?? 'stock',
      ...(await this.splitOrNone(model, length, variant)),
    };
  }

  /** A step's parts are an extra: without them the row is what it is. */
  private async splitOrNone(
    model: LoadedModel,
    length: LengthPlan,
    variant: VariantName,
  ): Promise<Pick<BenchRow, 'gpuMs' | 'mainThreadMs'>> {
    try {
      return await this.split(model, length, variant);
    } catch (error) {
      if (error instanceof DeviceLostError || this.options.signal.aborted) throw error;
      const reason = `What a step is made of was not measured: ${error instanceof Error ? error.message : error}`;
      const { context } = length;
      this.options.found.missing.push({ model: model.choice.name, context, variant, reason });
      return {};
    }
  }

  /** The plugin as a variant wants it, for as long as `work` takes. */
  private async as<T>(
    model: LoadedModel,
    variant: VariantName,
    work: (sift: Sift | null, enableMs: number | null) => Promise<T>,
  ): Promise<T> {
    const options = VARIANTS[variant];
    const begin = performance.now();
    const sift = options && (await enableSift(model.generator, options));
    try {
      return await work(sift, sift && performance.now() - begin);
    } finally {
      sift?.dispose();
    }
  }

  private turn(model: LoadedModel, { context, past }: LengthPlan, variant: VariantName): Promise<Turn> {
    const { warm, steps } = this.plan;
    const { signal } = this.options;
    return this.as(model, variant, async (sift, enableMs) => {
      const all = await model.generate({ context, past, steps: warm + steps, signal });
      const report = sift && (await sift.report());
      return {
        steps: all.steps.slice(warm),
        firstStepMs: all.steps[0]!,
        firstTokenMs: all.firstTokenMs,
        enableMs,
        report,
      };
    });
  }

  /** What the GPU and the main thread do in a step, in generations of their own, because measuring it takes time. */
  private async split(
    model: LoadedModel,
    { context, past }: LengthPlan,
    variant: VariantName,
  ): Promise<Pick<BenchRow, 'gpuMs' | 'mainThreadMs'>> {
    const { plan, options } = this;
    const { signal, observer } = options;
    const gpu = plan.gpu && model.device.features.has('timestamp-query');
    if (!gpu && !observer) return {};
    this.progress(`${context.toLocaleString('en')} tokens, ${variant}: what a step is made of`, 0);
    return this.guarded(() =>
      this.as(model, variant, async () => {
        const result: Pick<BenchRow, 'gpuMs' | 'mainThreadMs'> = {};
        const { warm } = plan;
        if (gpu) {
          const times = new GpuTimes(model.device);
          // One step in two, so that reading a step's times does not disturb the next.
          const onStep = (step: number) => {
            times.endStep();
            if (step >= warm && step % 2 === 0) times.startStep();
          };
          try {
            await model.generate({ context, past, steps: warm + 24, signal, onStep });
          } finally {
            result.gpuMs = await times.finish();
          }
        }
        if (observer) result.mainThreadMs = await this.observe(model, { context, past }, observer);
        return result;
      }),
    );
  }

  /** What the main thread does in the steps after the warm ones, as somebody outside the page sees it. */
  private async observe(
    model: LoadedModel,
    { context, past }: Pick<LengthPlan, 'context' | 'past'>,
    observer: NonNullable<RunOptions['observer']>,
  ): Promise<Record<string, number>> {
    const { warm, steps } = this.plan;
    let first = 0;
    let last = 0;
    const onStep = (step: number) => {
      last = step;
      // The steps are not held up until it has begun: what they do meanwhile is not seen, and they are not counted.
      if (step === warm)
        void observer.begin().then(() => {
          first = last;
        });
    };
    await model.generate({ context, past, steps: warm + 2 * steps, signal: this.options.signal, onStep });
    return observer.end(Math.max(1, last - first));
  }

  /** Does work, and says so if it failed because the device was lost. */
  private async guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // The loss may be told a moment later than what it causes.
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (this.lost !== undefined) throw new DeviceLostError(`The GPU device was lost: ${this.lost}.`);
      throw error;
    }
  }

  private note(model: BenchModel): void {
    this.options.found.models.push(model);
    this.options.onFound?.();
  }
}

/** Milliseconds of each stage of enabling, from the browser's performance timeline. */
const stagesOfTimeline = (): Record<string, number> =>
  Object.fromEntries(
    performance
      .getEntriesByType('measure')
      .filter(({ name }) => name.startsWith('sift-attention: '))
      .map(({ name, duration }) => [name.slice('sift-attention: '.length), duration]),
  );

/** Versions of the libraries, by their names. */
export const libraryVersions = (): Record<string, string> => ({
  'transformers.js': env.version,
  ...(env.backends.onnx as { versions?: Record<string, string> }).versions,
});
