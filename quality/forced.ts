// Forced decoding: a prompt is prefilled, the tokens that follow are fed one by one, and each step's distribution is held
// against exact attention. Teacher-forced prefill alone would never sift.
import { enableSift, type SiftReport, type ThresholdPolicy } from '../src/index.ts';
import { divergence, logSoftmax, mean, median, type QualityFigures } from './measure.ts';
import type { Decoder } from './pipeline.ts';

export interface ForcedOptions {
  /** Tokens of the prompt, and decode steps after it. */
  prompt: number;
  steps: number;
  /** Steps that do not count: the longest warm-up of the policies. */
  warmup: number;
  device: GPUDevice;
  progress?: (message: string) => void;
  /** Called after each sequence with the figures so far. */
  partial?: (figures: QualityFigures[]) => void;
}

/** One sequence under one policy: log-probabilities of the counted steps go to `visit`. */
async function decode(
  decoder: Decoder,
  tokens: readonly number[],
  { prompt, steps, warmup }: ForcedOptions,
  visit: (step: number, logProbabilities: Float32Array) => void,
): Promise<void> {
  let outputs = await decoder.forward(decoder.inputs(tokens.slice(0, prompt), prompt));
  for (let step = 0; step < steps; step++) {
    const length = prompt + step;
    const before = outputs;
    outputs = await decoder.forward({
      ...decoder.inputs([tokens[length]!], length + 1),
      past_key_values: decoder.pastOf(before),
    });
    for (const tensor of Object.values(before)) if (tensor.location === 'gpu-buffer') tensor.dispose();
    if (step >= warmup)
      visit(
        step,
        logSoftmax(Float32Array.from((outputs.logits!.ort_tensor as never as { data: Float32Array }).data)),
      );
  }
  for (const tensor of Object.values(outputs)) if (tensor.location === 'gpu-buffer') tensor.dispose();
}

/**
 * Figures of exact attention (the stock runtime) and of each policy, through the real adapter.
 * @param sequences each of at least prompt + steps + 1 tokens.
 */
export async function compare(
  decoder: Decoder,
  sequences: readonly (readonly number[])[],
  policies: readonly { name: string; policy: ThresholdPolicy }[],
  options: ForcedOptions,
): Promise<QualityFigures[]> {
  const gathered = new Map<string, Gathered>();
  const entry = (name: string) => {
    const known = gathered.get(name) ?? { nll: [], kl: [], same: [], reports: [] };
    gathered.set(name, known);
    return known;
  };
  // The plugin must see the runtime compile its attention: enable it once before the exact run, which is stock.
  (await enableSift(decoder.pipeline, { device: options.device })).dispose();
  for (const [index, tokens] of sequences.entries()) {
    const exact: Float32Array[] = [];
    options.progress?.(`sequence ${index + 1} of ${sequences.length}: exact`);
    await decode(decoder, tokens, options, (step, row) => {
      exact[step] = row;
      entry('exact').nll.push(-row[tokens[options.prompt + step + 1]!]!);
    });
    for (const { name, policy } of policies) {
      options.progress?.(`sequence ${index + 1} of ${sequences.length}: ${name}`);
      const figures = entry(name);
      const sift = await enableSift(decoder.pipeline, { policy, device: options.device });
      await decode(decoder, tokens, options, (step, row) => {
        const { kl, same } = divergence(exact[step]!, row);
        figures.nll.push(-row[tokens[options.prompt + step + 1]!]!);
        figures.kl.push(kl);
        figures.same.push(Number(same));
      });
      figures.reports.push(await sift.report());
      sift.dispose();
    }
    options.partial?.(summarise(gathered));
  }
  return summarise(gathered);
}

interface Gathered {
  nll: number[];
  kl: number[];
  same: number[];
  reports: SiftReport[];
}

function summarise(gathered: ReadonlyMap<string, Gathered>): QualityFigures[] {
  return [...gathered].map(([policy, { nll, kl, same, reports }]) => ({
    policy,
    ppl: Math.exp(mean(nll)),
    klMean: kl.length ? mean(kl) : 0,
    klMedian: kl.length ? median(kl) : 0,
    top1: same.length ? mean(same) : 1,
    keptHead: reports.length ? mean(reports.map((report) => report.keptHead ?? 1)) : null,
    keptGroup: reports.length ? mean(reports.map((report) => report.keptGroup ?? 1)) : null,
  }));
}
