import { firstDifference } from './comparison.ts';
import type {
  Failure,
  OurDecoding,
  PluginMeasurement,
  StepDifference,
  StockDecoding,
  StockMeasurement,
} from './measurement.ts';

/**
 * What became of a model: all of its attention layers are served, some of them, or none though `enableSift` accepted it; `enableSift`
 * refused it with a `SiftError`; transformers.js itself cannot run it; or something happened that must not.
 */
export type Outcome = 'served' | 'partly' | 'none' | 'refused' | 'stock fails' | 'FAILURE';

/** A step at which ours found another token the most likely, because stock's two best are closer than rounding. */
export interface NearTie {
  step: number;
  /** Between the two largest logits of stock. */
  gap: number;
  /** The largest difference of a logit in this step. */
  largest: number;
}

/** What is told of a model. */
export interface Verdict {
  outcome: Outcome;
  /** Everything that must not happen: the outcome is `FAILURE` if there is any. */
  failures: string[];
  /** Why layers, or the whole model, are left to the runtime; or why stock fails. */
  reasons: string[];
  /** Layers with a KV cache. */
  layers: number;
  /** Those that sift with the default options; once for each attention where several attend to one layer's cache. */
  served: number[];
  cache: 'shared' | 'stock' | null;
  /** With every row read. Null if it was not reached. */
  exact: { steps: number; nearTies: NearTie[]; largest: number; relative: number } | null;
  /** With the default options: V rows read in each served layer, mean KL in nats and steps with another most likely token. */
  sifted: { kept: number[]; kl: number; otherTokens: number; steps: number } | null;
}

/** A page that gave no result. */
export interface Dead {
  dead: Pick<Failure, 'stage' | 'message'>;
}

/**
 * A bound for the largest difference of a logit with every row read, as a share of the range of stock's logits in that step. A wrong
 * attention makes such large differences that every other token would pass for a near-tie; rounding, and the activations in 8 bits of
 * exports with `accuracy_level` 4, stay far below.
 */
export const ROUNDING_BOUND = 0.02;

/** Whether another most likely token is explained by rounding: two logits that each differ by `largest` may change places. */
export const isNearTie = ({ gap, largest }: Pick<StepDifference, 'gap' | 'largest'>): boolean =>
  gap < 2 * largest;

const shown = (value: number) => value.toPrecision(2);

/** What every row read by our kernels must give: stock's tokens, but for near-ties. */
function judgeExact(exact: OurDecoding, failures: string[]): NonNullable<Verdict['exact']> {
  const nearTies: NearTie[] = [];
  let [largest, relative] = [0, 0];
  for (const [step, difference] of exact.differences.entries()) {
    largest = Math.max(largest, difference.largest);
    relative = Math.max(relative, difference.largest / difference.range);
    if (difference.ours === difference.stock) continue;
    if (isNearTie(difference)) nearTies.push({ step, gap: difference.gap, largest: difference.largest });
    else {
      const { ours, stock, gap } = difference;
      failures.push(
        `wrong token: with every row read, step ${step} gives ${ours} instead of ${stock}, which lead by ${shown(gap)}, while logits differ by ${shown(difference.largest)} at most`,
      );
    }
  }
  if (!(relative <= ROUNDING_BOUND))
    failures.push(
      `wrong logits: with every row read, a logit differs by ${shown(relative)} of the range of stock's`,
    );
  return { steps: exact.differences.length, nearTies, largest, relative };
}

/** What the default options must give: every layer that is served leaves rows out. */
function judgeSifted(sifted: OurDecoding, failures: string[]): NonNullable<Verdict['sifted']> {
  const { differences, layers } = sifted;
  for (const { layer, keptGroup } of layers)
    if (!(keptGroup < 1)) failures.push(`layer ${layer} sifted and left no row out`);
  const kl = differences.reduce((sum, step) => sum + step.kl, 0) / differences.length;
  if (!Number.isFinite(kl)) failures.push('the logits of the default options are no numbers');
  return {
    kept: layers.map(({ keptGroup }) => keptGroup),
    kl,
    otherTokens: differences.filter(({ stock, ours }) => stock !== ours).length,
    steps: differences.length,
  };
}

/**
 * Stock with the plugin in the page must be stock without it, to the bit.
 *
 * @returns what differs
 */
function stockDifferences({ before, after, refused }: PluginMeasurement, alone: StockDecoding): string[] {
  const found: string[] = [];
  const compare = (decoding: StockDecoding | null, when: string) => {
    const step = decoding && firstDifference(decoding, alone);
    if (step !== null)
      found.push(`${when}, stock's logits are not those of a page without it, from step ${step} on`);
  };
  compare(before, refused ? 'after the plugin refused' : 'with the plugin switched off');
  compare(after, 'with the plugin switched off after sifting');
  return found;
}

/** Whether stock must be decoded again: it differs, and it may be that it differs from itself. */
export const needsSecondStock = (stock: StockMeasurement, plugin: PluginMeasurement): boolean =>
  stock.decodings.some((decoding) => stockDifferences(plugin, decoding).length > 0);

/**
 * Judges what was measured of a model.
 *
 * @param plugin - null if stock failed and the plugin was not tried
 * @param second - stock in another page, see {@link needsSecondStock}
 */
export function judge(
  stock: StockMeasurement | Dead,
  plugin: PluginMeasurement | Dead | null,
  second: StockMeasurement | Dead | null = null,
): Verdict {
  const verdict: Verdict = {
    outcome: 'FAILURE',
    failures: [],
    reasons: [],
    layers: 0,
    served: [],
    cache: null,
    exact: null,
    sifted: null,
  };
  const { failures, reasons } = verdict;
  const broken = 'dead' in stock ? stock.dead : stock.error;
  if (broken) {
    reasons.push(`${broken.stage}: ${broken.message}`);
    return { ...verdict, outcome: 'stock fails' };
  }
  const {
    layers,
    decodings: [decoding],
  } = stock as StockMeasurement;
  verdict.layers = layers;
  if (!plugin || !decoding) throw new Error('Stock works, but the plugin was not measured.');
  if ('dead' in plugin) {
    failures.push(`dead page: ${plugin.dead.message}, while: ${plugin.dead.stage}`);
    return verdict;
  }
  const { refused, error, exact, sifted } = plugin;
  failures.push(...plugin.uncaught.map((message) => `nobody caught: ${message}`));
  const again = second && 'decodings' in second ? second.decodings : [];
  const repeatable = again.every((other) => firstDifference(other, decoding) === null);
  if (repeatable) failures.push(...stockDifferences(plugin, decoding));
  else reasons.push("stock's own logits differ from run to run, so that ours cannot be held against them");
  if (error) failures.push(`${error.name} while: ${error.stage}: ${error.message}`);
  if (refused) reasons.push(`${refused.code}: ${refused.message}`);
  // Refused with one set of options and accepted with another.
  if (refused && exact) failures.push('the default options are refused after every row was accepted');
  if (exact) {
    verdict.cache = exact.cache;
    verdict.exact = judgeExact(exact, repeatable ? failures : []);
    for (const reason of exact.reasons) if (reason !== DENSE) reasons.push(reason);
  }
  if (sifted) {
    verdict.served = sifted.layers.map(({ layer }) => layer);
    verdict.sifted = judgeSifted(sifted, failures);
    if (sifted.stock > 0)
      reasons.push(
        `${sifted.stock} of ${sifted.stock + sifted.sifted + sifted.dense} steps were the runtime's alone`,
      );
    for (const reason of sifted.reasons) if (!reasons.includes(reason)) reasons.push(reason);
  }
  if (failures.length > 0) return verdict;
  const { served } = verdict;
  if (new Set(served).size < layers && reasons.length === 0) reasons.push('the report gives no reason');
  const outcome = refused
    ? 'refused'
    : served.length === 0
      ? 'none'
      : new Set(served).size < layers
        ? 'partly'
        : 'served';
  return { ...verdict, outcome };
}

/** The reason of steps with every row read, which was asked for. */
const DENSE = 'the policy keeps every row';
