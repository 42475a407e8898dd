import { expect, test } from 'vitest';
import { readOptions } from './options.ts';
import { type MatrixResults, type ModelResult, mergeMatrix, parseMatrix, writeMatrix } from './results.ts';
import { modelsTable, summary } from './table.ts';

const MODEL: ModelResult = {
  name: 'b',
  dtype: 'q4',
  architecture: 'LlamaForCausalLM',
  attention: 'GroupQueryAttention | packed QKV',
  outcome: 'partly',
  failures: [],
  reasons: ['a window'],
  layers: 3,
  served: [0, 2],
  cache: 'stock',
  exact: { steps: 25, nearTies: [], largest: 1e-6, relative: 1e-7 },
  sifted: { kept: [0.25, 0.5], kl: 0.00125, otherTokens: 1, steps: 25 },
  seconds: 12,
};
const results = (...models: ModelResult[]): MatrixResults => ({
  versions: { 'onnxruntime-web': '1.0' },
  adapter: 'software',
  prompt: 300,
  steps: 24,
  models,
});
/** The cells of the only row of a table. */
const cells = (model: ModelResult) =>
  modelsTable([model])
    .split('\n')[2]!
    .slice(2, -2)
    .split(/ (?<!\\)\| /);

test('results are written a line for each model and read again', () => {
  const all = results(MODEL, { ...MODEL, name: 'c' });
  expect(parseMatrix(writeMatrix(all))).toEqual(all);
  expect(writeMatrix(all).split('\n')).toHaveLength(5);
  expect(() => parseMatrix('{}')).toThrow('no results');
});

test('models that were measured again take the place of what an earlier run said', () => {
  const earlier = results({ ...MODEL, name: 'a' }, { ...MODEL, seconds: 1 }, { ...MODEL, dtype: 'fp32' });
  const { models } = mergeMatrix(earlier, results(MODEL));
  expect(models.map(({ name, dtype, seconds }) => [name, dtype, seconds])).toEqual([
    ['a', 'q4', 12],
    ['b', 'fp32', 12],
    ['b', 'q4', 12],
  ]);
});

test('a row of the table', () => {
  expect(cells(MODEL)).toEqual([
    'b (Llama, q4)',
    'GroupQueryAttention \\| packed QKV',
    '2 of 3 (0, 2)',
    'equal',
    '25% to 50%',
    '1.3e-3',
    'a window',
  ]);
  expect(cells({ ...MODEL, served: [0, 1, 2], sifted: { ...MODEL.sifted!, kept: [0.5] } })).toEqual(
    expect.arrayContaining(['all 3', '50%']),
  );
  expect(cells({ ...MODEL, served: [0, 1, 2, 2] })[2]).toBe('all 3, with 4 attentions');
  expect(cells({ ...MODEL, served: [0, 0] })[2]).toBe('1 of 3 (0), with 2 attentions');
  const refused = { ...MODEL, outcome: 'refused' as const, served: [], exact: null, sifted: null };
  expect(cells(refused).slice(2)).toEqual(['refused', '–', '–', '–', 'a window']);
  expect(cells({ ...MODEL, failures: ['wrong token'] }).at(-1)).toBe('**wrong token**; a window');
});

test('near-ties are told with their numbers', () => {
  const exact = { ...MODEL.exact!, nearTies: [{ step: 4, gap: 0.0015, largest: 0.001 }] };
  expect(cells({ ...MODEL, exact })[3]).toBe(
    'equal but for 1 near-tie in 25 steps (step 4: the two best are 1.5e-3 apart, logits differ by up to 1.0e-3)',
  );
  expect(summary({ ...MODEL, exact })).toContain('near-tie');
});

test('options', () => {
  expect(readOptions(['--help'])).toBeNull();
  expect(readOptions(['--docs', 'x.json'])).toEqual({ docs: 'x.json' });
  expect(readOptions(['--graphs', 'g', '--only', 'a,b', '--steps', '5', '--vendor', 'nvidia'])).toMatchObject(
    {
      vendor: 'nvidia',
      graphs: 'g',
      only: ['a', 'b'],
      prompt: 300,
      steps: 5,
    },
  );
  expect(() => readOptions([])).toThrow('--graphs');
  expect(() => readOptions(['--graphs', 'g', '--prompt', '0'])).toThrow('--prompt is "0"');
});
