import { describe, expect, test } from 'vitest';
import type { HeadFigures, LayerFigures, LayerState } from '../../kernel/step/layer-state.ts';
import { learnedPolicy, presetPolicy } from '../../policy/index.ts';
import { attentionKey } from './attention-key.ts';
import type { Conversation } from './conversation.ts';
import { buildReport, type ReportSource, reportAs, SUMMARIES, stockCacheReport } from './report.ts';
import { summarise } from './summary.ts';

/** Four query heads on two KV heads, rows of 64 elements in f16: 128 bytes. */
const shape = { queryHeads: 4, kvHeads: 2, headSize: 64, dtype: 'f16' } as const;

const head = (changes: Partial<HeadFigures> = {}): HeadFigures => ({
  status: 'learning',
  logAlpha: 0,
  beta: 0,
  r2: 0,
  logThreshold: Math.log(0.01),
  lastKept: 10,
  lastLength: 100,
  lastMass: 0.9,
  keptRows: 30,
  totalRows: 200,
  massSum: 1.8,
  siftedSteps: 2,
  ...changes,
});

const layer = (read: () => Promise<LayerFigures>, shadow = 0) =>
  ({ shape, read, shadow: { bytes: shadow } }) as unknown as LayerState;

function sourceOf(states: LayerState[], changes: Partial<ReportSource> = {}): ReportSource {
  const conversation = {
    siftedSteps: 2,
    denseSteps: 1,
    stockSteps: 3,
    denseBytes: 50 * 128,
    stockByLayer: new Map([[5, 4]]),
    shortSteps: 1,
    shortByLayer: new Map([[5, 1]]),
    length: 101,
    reasons: new Map([['shorter than 64', 1]]),
    times: { median: 12.5, steps: 3 },
    shadowBytes: changes.policy?.keys === 'shadow' ? 4096 : 0,
    layers: new Map(states.map((state, i) => [5 - i, state])),
  };
  return {
    state: 'on',
    lost: undefined,
    policy: presetPolicy('balanced'),
    runtime: { name: 'test', version: '1', tested: true },
    conversation: conversation as unknown as Conversation,
    conversations: 2,
    notes: ['layer 4 stays stock'],
    kvCache: stockCacheReport('asked for'),
    crossover: [],
    ...changes,
  };
}

describe('buildReport', () => {
  test('has fractions, thresholds, bytes and reasons', async () => {
    const heads = [
      head(),
      head({ keptRows: 200 }),
      head({ status: 'fitted', logAlpha: Math.log(0.5), beta: -0.5, r2: 0.9, logThreshold: -1e31 }),
      // Nothing was sifted with it.
      head({ keptRows: 0, totalRows: 0, siftedSteps: 0, lastLength: 0, massSum: 0 }),
    ];
    const groups = [
      { lastUnion: 12, unionRows: 50 },
      { lastUnion: 20, unionRows: 200 },
    ];
    const states = [layer(async () => ({ heads, groups })), layer(async () => ({ heads, groups }))];
    const report = await buildReport(sourceOf(states));
    expect(report.layers.map((each) => each.layer)).toEqual([4, 5]);
    const { groups: shares, heads: of, shortSteps, stockSteps } = report.layers[1]!;
    expect(shares).toEqual([0.25, 1]);
    expect([shortSteps, stockSteps]).toEqual([1, 4]);
    expect(of.map(({ kept }) => kept)).toEqual([0.15, 1, 0.15, 1]);
    expect(of[0]).toMatchObject({ lastKept: 0.1, keptMass: 0.9, fit: null, status: 'given' });
    expect(of[0]!.threshold).toBeCloseTo(0.01, 12);
    expect(of[2]).toMatchObject({ threshold: null, fit: { alpha: 0.5, beta: -0.5, r2: 0.9 } });
    expect(of[3]).toMatchObject({ lastKept: 1, keptMass: 1, threshold: null });
    expect(report.keptGroup).toBe(0.625);
    expect(report.keptHead).toBeCloseTo((0.15 + 1 + 0.15 + 1) / 4, 12);
    // Two layers of 200 rows a group, 250 of them read, and 50 rows of dense steps.
    expect(report.bytes).toEqual({
      keysRead: (2 * 400 + 50) * 128,
      keysSaved: 0,
      shadowRead: 0,
      valuesRead: (2 * 250 + 50) * 128,
      valuesSaved: 2 * 150 * 128,
      shadowMemory: 0,
    });
    expect(report).toMatchObject({
      enabled: true,
      lost: null,
      steps: { sifted: 2, dense: 1 },
      shortSteps: 1,
      stockSteps: 3,
      conversations: 2,
      length: 101,
      policy: {
        name: 'balanced',
        target: 'keep p >= 2.5 / length',
        requestedKept: null,
        warmup: 0,
        keys: 'exact',
      },
    });
    expect(report.reasons).toEqual([
      { reason: 'shorter than 64', count: 1 },
      { reason: 'layer 4 stays stock', count: 1 },
    ]);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  test('a layer that never sifted has no share, and does not count in the mean', async () => {
    const none = head({ keptRows: 0, totalRows: 0, siftedSteps: 0, lastLength: 0, massSum: 0 });
    const groups = [{ lastUnion: 12, unionRows: 50 }];
    const states = [
      layer(async () => ({ heads: Array(2).fill(head()), groups })),
      layer(async () => ({ heads: Array(2).fill(none), groups: [{ lastUnion: 0, unionRows: 0 }] })),
    ];
    const report = await buildReport(sourceOf(states));
    expect(report.layers.map(({ keptGroup }) => keptGroup)).toEqual([null, 0.25]);
    expect([report.keptGroup, report.keptHead]).toEqual([0.25, 0.15]);
  });

  test('several attentions to one layer are told apart', async () => {
    const figures = { heads: Array(2).fill(head()), groups: [{ lastUnion: 12, unionRows: 50 }] };
    const source = sourceOf([]);
    const states = [attentionKey(1), attentionKey(1, 1)].map(
      (key) => [key, layer(async () => figures)] as const,
    );
    Object.assign(source.conversation!, { layers: new Map(states) });
    const { layers } = await buildReport(source);
    expect(layers.map(({ layer: of, attention }) => [of, attention])).toEqual([
      [1, 0],
      [1, 1],
    ]);
  });

  test('counts are those of the call, though steps go on while the GPU is read', async () => {
    let answer: (figures: LayerFigures) => void = () => {};
    const state = layer(() => new Promise((resolve) => (answer = resolve)));
    const source = sourceOf([state]);
    const pending = buildReport(source);
    source.conversation!.siftedSteps++;
    source.conversation!.reasons.clear();
    answer({ heads: Array(4).fill(head()), groups: Array(2).fill({ lastUnion: 1, unionRows: 50 }) });
    const report = await pending;
    expect(report.steps.sifted).toBe(2);
    expect(report.reasons).toHaveLength(2);
  });

  test('a lost device: counts, why, and no figures', async () => {
    const state = layer(() => Promise.reject(new Error('the device is lost')));
    const lost = { reason: 'unknown', message: '' } as GPUDeviceLostInfo;
    const report = await buildReport(sourceOf([state], { state: 'lost', lost }));
    expect(report).toMatchObject({
      enabled: false,
      lost: 'unknown',
      layers: [],
      keptHead: null,
      keptGroup: null,
    });
    expect(report.steps.sifted).toBe(2);
  });

  test('before the first conversation', async () => {
    const report = await buildReport(sourceOf([], { conversation: undefined, conversations: 0, notes: [] }));
    expect(report).toMatchObject({
      steps: { sifted: 0, dense: 0 },
      keptGroup: null,
      layers: [],
      reasons: [],
    });
  });

  test('with the shadow, K is read where V is, and the shadow of all rows but the edge keys', async () => {
    const groups = [
      { lastUnion: 12, unionRows: 50 },
      { lastUnion: 20, unionRows: 200 },
    ];
    const heads = [head(), head(), head(), head()];
    const states = [layer(async () => ({ heads, groups }), 4096)];
    const report = await buildReport(sourceOf(states, { policy: presetPolicy('balanced', 'shadow') }));
    expect(report.policy).toMatchObject({ target: 'keep p >= 2 / length', keys: 'shadow' });
    // Each group has 200 rows in two steps, 64 edge keys in each of them. A row of 64 elements has 16 bytes of codes and one of scale.
    expect(report.bytes).toEqual({
      keysRead: (250 + 50) * 128,
      keysSaved: 150 * 128,
      shadowRead: 2 * (200 - 2 * 64) * 17,
      valuesRead: (250 + 50) * 128,
      valuesSaved: 150 * 128,
      shadowMemory: 4096,
    });
  });

  test.each([
    ['a policy that learns nothing', presetPolicy('fast'), ['given', 'guarded']],
    ['one that keeps every row', presetPolicy('exact'), ['given', 'guarded']],
    ['one that learns', learnedPolicy(), ['learning', 'guarded']],
  ] as const)('thresholds of %s', async (_, policy, expected) => {
    const heads = [head(), head({ status: 'guarded' }), head(), head()];
    const groups = [
      { lastUnion: 12, unionRows: 50 },
      { lastUnion: 20, unionRows: 200 },
    ];
    const report = await buildReport(sourceOf([layer(async () => ({ heads, groups }))], { policy }));
    expect(report.layers[0]!.heads.slice(0, 2).map(({ status }) => status)).toEqual(expected);
  });

  test('speed; before the first step there is none', async () => {
    const { speed } = await buildReport(sourceOf([]));
    expect(speed).toEqual({ millisecondsPerToken: 12.5, tokensPerSecond: 80, steps: 3 });
    const nothing = await buildReport(sourceOf([], { conversation: undefined }));
    expect(nothing.speed).toEqual({ millisecondsPerToken: null, tokensPerSecond: null, steps: 0 });
  });
});

describe('reportAs', () => {
  const report = () => buildReport(sourceOf([]));

  test('a whole report, or one in short', async () => {
    SUMMARIES.part = { summarise };
    expect(await reportAs({}, report)).toEqual(await report());
    const short = await reportAs({ summary: true }, report);
    expect(short).not.toHaveProperty('layers');
    expect(short).toMatchObject({ layerCount: 0, speed: { steps: 3 }, enabled: true });
  });

  test('an unknown option', async () => {
    await expect(reportAs({ sumary: true } as object, report)).rejects.toThrow('Did you mean `summary`?');
  });
});
