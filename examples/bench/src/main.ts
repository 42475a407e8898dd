// In an application: import 'sift-attention/register'. The plugin is enabled and disposed of many times here.
import '../../../src/register.ts';
import { env } from '@huggingface/transformers';
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import type uPlot from 'uplot';
import type { BrowserBench } from '../../../bench/browser/format.ts';
import { runtimeDevice } from '../../../lab/decoding/decoder.ts';
import { hideNarrowSubgroups } from '../../../lab/narrow-subgroups.ts';
import { byId, create } from '../../demo/src/dom.ts';
import { findGpu } from '../../demo/src/gpu.ts';
import { watchLabels } from './measure/gpu-times.ts';
import { type BenchModelChoice, type Dtype, MODELS } from './measure/models.ts';
import { type DeviceLimits, lengthObstacle, type ModelPlan, planFor } from './measure/plan.ts';
import { DeviceLostError, runPlans } from './measure/run.ts';
import { pictureOf, plotRows } from './plot.ts';
import { addRuntime, byLength, emptyResults, gain, issueText, nameMachine } from './results.ts';

env.backends.onnx.wasm!.wasmPaths = { wasm: wasmUrl };
env.useBrowserCache = false;
env.allowLocalModels = false;
// On software adapters the runtime would answer prompts wrongly, with and without sift.
hideNarrowSubgroups();
watchLabels();

const GB = 1e9;
const LENGTHS = [2048, 8192, 32_768, 65_536, 131_072];

const controls = byId('controls', HTMLFormElement);
const memory = byId('memory', HTMLSelectElement);
const machine = byId('machine', HTMLInputElement);
const longest = byId('longest', HTMLSelectElement);
const run = byId('run', HTMLButtonElement);
const stop = byId('stop', HTMLButtonElement);
const bar = byId('bar', HTMLProgressElement);
const stage = byId('stage', HTMLElement);
const problem = byId('problem', HTMLElement);
const copied = byId('copied', HTMLElement);
const exports = ['copy-json', 'save-json', 'save-plot', 'copy-issue'].map((id) =>
  byId(id, HTMLButtonElement),
);

let results: BrowserBench | undefined;
let plots: uPlot[] = [];
let abort: AbortController | undefined;
let software = false;
let dtype: Dtype = 'q4';
let binding = 0;

const limits = (): DeviceLimits => ({ binding, memory: GB * Number(memory.value) });

const chosen = (): BenchModelChoice[] =>
  MODELS.filter(({ name }) => byId(`model-${name}`, HTMLInputElement).checked);

const plans = (): ModelPlan[] =>
  chosen()
    .map((model) => planFor(model, dtype, limits(), { software, longest: Number(longest.value) }))
    .filter(({ lengths }) => lengths.length > 0);

function showFits(): void {
  const notes = chosen().map((model) => {
    const reason = lengthObstacle(model, dtype, Number(longest.value), limits());
    return reason
      ? `${model.title}: ${longest.selectedOptions[0]!.text} is left out, because ${reason}.`
      : '';
  });
  byId('fits', HTMLElement).textContent = notes.filter(Boolean).join(' ');
  run.disabled = plans().length === 0;
}

function showProblem(text: string): void {
  problem.textContent = text;
  problem.hidden = text === '';
}

function showResults(found: BrowserBench): void {
  const gains = found.models.flatMap(({ name }) =>
    byLength(found.rows.filter(({ model }) => model === name)).flatMap(([context, variants]) => {
      const times = gain(variants);
      return times === undefined ? [] : [{ name, context, times }];
    }),
  );
  const most = gains.reduce((a, b) => (b.times > a.times ? b : a), { name: '', context: 0, times: 0 });
  byId('headline', HTMLElement).textContent =
    gains.length === 0
      ? 'There are none yet.'
      : `Up to ${most.times.toFixed(1)} times as fast as stock: ${most.name} at ${most.context.toLocaleString('en')} tokens.`;
  drawPlots(found);
  const head = ['model', 'context', 'variant', 'ms a token', '90th percentile', 'first token', 'V rows read'];
  const cells = found.rows.map((row) => [
    row.model,
    row.context.toLocaleString('en'),
    row.variant,
    row.msMedian.toFixed(1),
    row.msP90.toFixed(1),
    row.firstTokenMs === null ? '–' : `${(row.firstTokenMs / 1000).toFixed(2)} s`,
    row.keptGroup === null ? 'all' : `${(100 * row.keptGroup).toFixed(0)}%`,
  ]);
  byId('table', HTMLTableElement).replaceChildren(
    create('thead', {}, create('tr', {}, ...head.map((text) => create('th', { textContent: text })))),
    create(
      'tbody',
      {},
      ...cells.map((row) => create('tr', {}, ...row.map((text) => create('td', { textContent: text })))),
    ),
  );
  byId('missing', HTMLElement).replaceChildren(
    ...found.missing.map(({ model, context, variant, reason }) =>
      create('li', {
        textContent: `${model}, ${context.toLocaleString('en')} tokens, ${variant}: ${reason}`,
      }),
    ),
  );
  for (const button of exports) button.disabled = found.rows.length === 0;
}

function drawPlots(found: BrowserBench): void {
  for (const plot of plots) plot.destroy();
  const box = byId('plots', HTMLElement);
  box.replaceChildren();
  plots = found.models.flatMap(({ name }) => {
    const rows = found.rows.filter(({ model }) => model === name);
    if (rows.length === 0) return [];
    const place = create('div');
    box.append(place);
    return [plotRows(place, name, rows)];
  });
}

/** Runs plans, and shows what is found as it comes. What was found stays if the run ends early. */
async function measure(planned: readonly ModelPlan[], options: Partial<Parameters<typeof runPlans>[1]> = {}) {
  abort = new AbortController();
  run.disabled = true;
  const found = await emptyResults(machine.value.trim());
  results = found;
  showProblem('');
  stop.disabled = false;
  const begin = performance.now();
  try {
    await runPlans(planned, {
      ...options,
      found,
      signal: abort.signal,
      onProgress: (progress) => {
        bar.value = progress.share;
        const left = ((performance.now() - begin) * (1 - progress.share)) / Math.max(progress.share, 1e-3);
        const estimate = progress.share > 0.03 ? `, about ${minutes(left)} left` : '';
        stage.textContent = `${progress.stage}${estimate}`;
      },
      onFound: () => {
        addRuntime(found, env.backends.onnx.wasm!.numThreads ?? 0);
        showResults(found);
        options.onFound?.();
      },
    });
    stage.textContent = `Done in ${minutes(performance.now() - begin)}.`;
    bar.value = 1;
  } catch (error) {
    if (abort.signal.aborted) stage.textContent = 'Stopped. What was measured is below.';
    else {
      stage.textContent = 'The run ended early. What was measured is below.';
      const text = error instanceof Error ? error.message : String(error);
      showProblem(error instanceof DeviceLostError ? `${text} Reload the page to go on.` : text);
      // A page that lost its device cannot get another one from the runtime.
      if (error instanceof DeviceLostError) run.dataset.lost = '';
    }
  } finally {
    showResults(found);
    run.disabled = 'lost' in run.dataset;
    stop.disabled = true;
  }
  return found;
}

const minutes = (ms: number): string =>
  ms < 90_000 ? `${Math.max(1, Math.round(ms / 1000))} s` : `${Math.round(ms / 60_000)} minutes`;

async function copy(text: string, what: string): Promise<void> {
  await navigator.clipboard.writeText(text);
  copied.textContent = `${what} is in the clipboard.`;
}

function save(blob: Blob, name: string): void {
  const link = create('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function listen(): void {
  controls.addEventListener('submit', (event) => {
    event.preventDefault();
    void measure(plans());
  });
  controls.addEventListener('change', showFits);
  // The name may be written while the run goes on, or after it.
  machine.addEventListener('change', () => {
    if (results) nameMachine(results, machine.value.trim());
  });
  stop.addEventListener('click', () => abort?.abort());
  const actions: (() => Promise<void> | void)[] = [
    () => copy(JSON.stringify(results), 'The JSON'),
    () => save(new Blob([JSON.stringify(results)], { type: 'application/json' }), 'sift-bench.json'),
    async () => save(await pictureOf(plots), 'sift-bench.png'),
    () => copy(issueText(results!), 'The text'),
  ];
  exports.forEach((button, i) => {
    button.addEventListener('click', () => {
      void Promise.resolve(actions[i]!()).catch((error: unknown) => showProblem(String(error)));
    });
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => results && drawPlots(results));
}

async function start(): Promise<void> {
  const gpu = await findGpu();
  const chip = byId('gpu', HTMLElement);
  if ('problem' in gpu) {
    chip.textContent = 'No GPU';
    showProblem([gpu.problem, ...gpu.remedies].join(' '));
    run.disabled = true;
    return;
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  software = gpu.software;
  dtype = adapter!.features.has('shader-f16') ? 'q4f16' : 'q4';
  binding = Math.min(adapter!.limits.maxStorageBufferBindingSize, adapter!.limits.maxBufferSize);
  chip.textContent = software ? `${gpu.name}, on the processor` : gpu.name;
  byId('models', HTMLElement).append(
    ...MODELS.map(({ name, title, bytes }) => {
      const checked = name === (software ? 'small' : 'qwen3-0.6b');
      const input = create('input', { type: 'checkbox', id: `model-${name}`, checked });
      const size = bytes(dtype) / GB;
      return create('label', {}, input, `${title}${size > 0.1 ? `, ${size.toFixed(1)} GB` : ''}`);
    }),
  );
  longest.append(
    ...LENGTHS.map((length) => new Option(`${length.toLocaleString('en')} tokens`, String(length))),
  );
  longest.value = '32768';
  listen();
  showFits();
  document.documentElement.dataset.ready = '';
}

const api = {
  measure,
  /** Stops the run under way, after the step that it is at. */
  stop: () => abort?.abort(),
  results: () => results,
  /** The runtime's device, once a model has been loaded. */
  device: () => runtimeDevice(env.backends.onnx),
};

declare global {
  interface Window {
    bench: typeof api;
  }
}
window.bench = api;
void start();
