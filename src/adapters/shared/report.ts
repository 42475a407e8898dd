import type { SiftError } from '../../errors.ts';
import { shapeConstants } from '../../kernel/shape.ts';
import type { LayerFigures, LayerState } from '../../kernel/step/layer-state.ts';
import { shadowRowBytes } from '../../kernel/step/shadow.ts';
import { LaterPart } from '../../later-part.ts';
import { checkNames } from '../../option-checks.ts';
import { ESTIMATE_KEYS, isDense, isLearned, type Target, type ThresholdPolicy } from '../../policy/index.ts';
import type {
  CacheReport,
  CrossoverReport,
  HeadReport,
  LayerReport,
  ReportOptions,
  SiftReport,
  SiftSummary,
} from '../../report.ts';
import { layerOfKey, nthOfKey } from './attention-key.ts';
import type { Conversation } from './conversation.ts';
import type { LifeState } from './life-cycle.ts';
import type { summarise as Summarise } from './summary.ts';

/** What a report is made from. */
export interface ReportSource {
  state: LifeState;
  /** The device is gone. */
  lost: GPUDeviceLostInfo | undefined;
  policy: ThresholdPolicy;
  runtime: SiftReport['runtime'];
  conversation: Conversation | undefined;
  conversations: number;
  /** Reasons that do not belong to one conversation. */
  notes: readonly string[];
  kvCache: CacheReport;
  crossover: readonly CrossoverReport[];
}

/** The report of a KV cache that is the runtime's own. */
export function stockCacheReport(reason: string): CacheReport {
  const counts = { steps: 0, grown: 0, copied: 0 };
  return {
    kind: 'stock',
    capacity: null,
    gpuBytes: 0,
    freed: false,
    ...counts,
    reasons: [{ reason, count: 1 }],
  };
}

function describeTarget(target: Target): string {
  switch (target.kind) {
    case 'quantile':
      return `drop the ${target.tau} quantile`;
    case 'mass':
      return `drop at most ${target.epsilon} of the probability`;
    case 'uniform':
      return `keep p >= ${target.c} / length`;
    case 'probability':
      return `keep p >= ${target.p}`;
  }
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
/** The mean of those that there are; null if there are none. */
function meanOfKnown(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? mean(known) : null;
}
const finite = (value: number): number => (Number.isFinite(value) ? value : 0);

function headReport(head: LayerFigures['heads'][number], given: boolean): HeadReport {
  return {
    status: given && head.status === 'learning' ? 'given' : head.status,
    kept: head.totalRows > 0 ? head.keptRows / head.totalRows : 1,
    lastKept: head.lastLength > 0 ? head.lastKept / head.lastLength : 1,
    keptMass: head.siftedSteps > 0 ? head.massSum / head.siftedSteps : 1,
    threshold: head.siftedSteps > 0 && head.logThreshold > -1e30 ? Math.exp(head.logThreshold) : null,
    fit:
      head.status === 'fitted' || head.status === 'guarded'
        ? { alpha: finite(Math.exp(head.logAlpha)), beta: head.beta, r2: head.r2 }
        : null,
  };
}

function layerReport(
  key: number,
  state: LayerState,
  figures: LayerFigures,
  given: boolean,
  steps: Pick<LayerReport, 'shortSteps' | 'stockSteps'>,
): LayerReport {
  const { group } = shapeConstants(state.shape);
  const heads = figures.heads.map((head) => headReport(head, given));
  const groups = figures.groups.map(({ unionRows }, i) => {
    const total = figures.heads[i * group]?.totalRows ?? 0;
    return total > 0 ? unionRows / total : 1;
  });
  const sifted = figures.heads.some(({ totalRows }) => totalRows > 0);
  return {
    layer: layerOfKey(key),
    attention: nthOfKey(key),
    keptHead: sifted ? mean(heads.map((head) => head.kept)) : null,
    keptGroup: sifted ? mean(groups) : null,
    heads,
    groups,
    ...steps,
  };
}

/** Of the rows of all sifted steps, those that are no edge keys. Only these are read from the shadow. */
function betweenRows(total: number, head: { siftedSteps: number } | undefined): number {
  const { sink, newest } = ESTIMATE_KEYS;
  return Math.max(0, total - (head?.siftedSteps ?? 0) * (sink + newest));
}

/** The figures of all layers, or why the device does not give them. */
function readFigures(states: readonly LayerState[]): Promise<LayerFigures[] | SiftError> {
  return Promise.all(states.map((state) => state.read())).catch((error: unknown) => error as SiftError);
}

/** Reads the figures of the latest conversation back and puts them in words and numbers. */
export async function buildReport(source: ReportSource): Promise<SiftReport> {
  const { conversation, policy, runtime, lost } = source;
  const layers: LayerReport[] = [];
  const bytes = {
    keysRead: 0,
    keysSaved: 0,
    shadowRead: 0,
    valuesRead: 0,
    valuesSaved: 0,
    shadowMemory: conversation?.shadowBytes ?? 0,
  };
  // Counters now and all reads submitted at once: a report taken while decoding must not mix steps.
  const counted = {
    sifted: conversation?.siftedSteps ?? 0,
    dense: conversation?.denseSteps ?? 0,
    stock: conversation?.stockSteps ?? 0,
    denseBytes: conversation?.denseBytes ?? 0,
    short: conversation?.shortSteps ?? 0,
    shortByLayer: new Map(conversation?.shortByLayer),
    stockByLayer: new Map(conversation?.stockByLayer),
    length: conversation?.length ?? 0,
    reasons: [...(conversation?.reasons ?? [])],
    time: conversation?.times.median ?? null,
    timed: conversation?.times.steps ?? 0,
  };
  const all = [...(conversation?.layers ?? [])].sort(([a], [b]) => a - b);
  const read = await readFigures(all.map(([, state]) => state));
  const given = isDense(policy) || !isLearned(policy);
  // The device may be lost while it is asked.
  const states = read instanceof Error ? [] : all;
  const notes = read instanceof Error ? [`figures could not be read: ${read.message}`] : [];
  for (const [i, [layer, state]] of states.entries()) {
    const figures = (read as LayerFigures[])[i]!;
    const { group, elementBytes } = shapeConstants(state.shape);
    const rowBytes = state.shape.headSize * elementBytes;
    const shadowed = state.shadow.bytes > 0;
    figures.groups.forEach(({ unionRows }, g) => {
      const head = figures.heads[g * group];
      const total = head?.totalRows ?? 0;
      const keyRows = shadowed ? unionRows : total;
      bytes.keysRead += keyRows * rowBytes;
      bytes.keysSaved += (total - keyRows) * rowBytes;
      if (shadowed) bytes.shadowRead += betweenRows(total, head) * shadowRowBytes(state.shape);
      bytes.valuesRead += unionRows * rowBytes;
      bytes.valuesSaved += (total - unionRows) * rowBytes;
    });
    const shortSteps = counted.shortByLayer.get(layer) ?? 0;
    const stockSteps = counted.stockByLayer.get(layer) ?? 0;
    layers.push(layerReport(layer, state, figures, given, { shortSteps, stockSteps }));
  }
  bytes.keysRead += counted.denseBytes;
  bytes.valuesRead += counted.denseBytes;
  return {
    enabled: source.state === 'on',
    lost: lost ? lost.message || lost.reason : null,
    policy: {
      name: policy.name,
      target: describeTarget(policy.target),
      requestedKept: policy.target.kind === 'quantile' ? 1 - policy.target.tau : null,
      warmup: policy.warmup,
      // Before the first sifted step it is what was asked for.
      keys: counted.sifted > 0 && bytes.shadowMemory === 0 ? 'exact' : policy.keys,
    },
    runtime,
    steps: { sifted: counted.sifted, dense: counted.dense },
    shortSteps: counted.short,
    stockSteps: counted.stock,
    speed: {
      millisecondsPerToken: counted.time,
      tokensPerSecond: counted.time ? 1000 / counted.time : null,
      steps: counted.timed,
    },
    crossover: [...source.crossover],
    conversations: source.conversations,
    length: counted.length,
    keptHead: meanOfKnown(layers.map((layer) => layer.keptHead)),
    keptGroup: meanOfKnown(layers.map((layer) => layer.keptGroup)),
    bytes,
    cache: source.kvCache,
    layers,
    reasons: [
      ...counted.reasons.map(([reason, count]) => ({ reason, count })),
      ...[...source.notes, ...notes].map((reason) => ({ reason, count: 1 })),
    ],
  };
}

/** The code of summaries. */
export const SUMMARIES = new LaterPart<{ summarise: typeof Summarise }>('The code of summaries');

/**
 * A report as the options ask for it.
 * @throws {SiftError} `INVALID_OPTION`, `UNSUPPORTED_RUNTIME`
 */
export async function reportAs(
  options: ReportOptions,
  report: () => Promise<SiftReport>,
): Promise<SiftReport & SiftSummary> {
  checkNames(options, ['summary']);
  // Which of the two it is, the overloads of `Sift` say.
  const made = options.summary ? (await SUMMARIES.get()).summarise(await report()) : await report();
  return made as SiftReport & SiftSummary;
}
