// Any prebuilt model of web-llm, with sift or without it. It needs the network; the page says what was tested.
import { MLCEngine, prebuiltAppConfig } from '@mlc-ai/web-llm';
import { enableSift, type Sift, SiftError } from 'sift-attention';
import { filler } from './filler.ts';

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const model = element<HTMLSelectElement>('model');
const quality = element<HTMLSelectElement>('quality');
const load = element<HTMLButtonElement>('load');
const generate = element<HTMLButtonElement>('generate');
const output = element('output');
const status = element('status');
const numberOf = (id: string) => Number(element<HTMLInputElement>(id).value);

const wanted = new URLSearchParams(location.search).get('model') ?? 'Llama-3.2-1B-Instruct-q4f16_1-MLC';
for (const { model_id, vram_required_MB } of prebuiltAppConfig.model_list) {
  const size = vram_required_MB ? ` (${(vram_required_MB / 1024).toFixed(1)} GB)` : '';
  model.add(new Option(model_id + size, model_id, false, model_id === wanted));
}

const engine = new MLCEngine({
  initProgressCallback: ({ text }) => {
    status.textContent = text;
  },
});
let sift: Sift | undefined;

/** Enables sift with the chosen preset, or takes it away. The plugin takes every model that the engine loads from then on. */
async function choose(): Promise<void> {
  sift?.dispose();
  sift = undefined;
  const preset = quality.value as 'stock' | 'exact' | 'high' | 'balanced' | 'fast';
  // Where sift cannot work, web-llm works as it does without it.
  if (preset !== 'stock') sift = await enableSift(engine, { quality: preset, onUnsupported: 'ignore' });
  if (sift?.unsupported) throw sift.unsupported;
}

/** Runs a task with the buttons off, and shows what goes wrong. */
async function busy(task: () => Promise<void>, then: () => boolean = () => true): Promise<void> {
  load.disabled = generate.disabled = true;
  status.className = '';
  try {
    await task();
  } catch (error) {
    status.className = 'error';
    const code = error instanceof SiftError ? `${error.code}: ` : '';
    status.textContent = code + (error instanceof Error ? error.message : String(error));
  }
  load.disabled = false;
  generate.disabled = !then();
}

let loaded = false;
const isLoaded = () => loaded;

load.onclick = () =>
  busy(async () => {
    loaded = false;
    status.textContent = 'Loading…';
    await engine.reload(model.value, { context_window_size: numberOf('context') });
    loaded = true;
    status.textContent = 'Ready.';
  }, isLoaded);

quality.onchange = () =>
  busy(async () => {
    await choose();
    // web-llm compiles its attention when it loads, and the plugin must see that.
    if (loaded) await engine.reload(model.value, { context_window_size: numberOf('context') });
    status.textContent = loaded ? 'Ready.' : 'Choose a model and load it.';
  }, isLoaded);

generate.onclick = () =>
  busy(async () => {
    await engine.resetChat();
    output.textContent = '';
    const content = `${filler(numberOf('filler'))}\n\n${element<HTMLTextAreaElement>('prompt').value}`;
    const stream = await engine.chat.completions.create({
      messages: [{ role: 'user', content }],
      max_tokens: numberOf('tokens'),
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    status.textContent = 'Writing…';
    for await (const { choices, usage } of stream) {
      output.textContent += choices[0]?.delta.content ?? '';
      if (usage) await show(usage.prompt_tokens, usage.extra.decode_tokens_per_s);
    }
    status.textContent = 'Ready.';
  }, isLoaded);

async function show(promptTokens: number, tokensPerSecond: number): Promise<void> {
  const report = await sift?.report();
  const steps = report && `${report.steps.sifted} of ${report.steps.sifted + report.steps.dense}`;
  const read = report?.keptGroup == null ? '–' : `${(100 * report.keptGroup).toFixed(1)}%`;
  const row = element<HTMLTableSectionElement>('runs').insertRow();
  for (const cell of [
    `${model.value}, ${quality.selectedOptions[0]!.text}`,
    String(promptTokens),
    tokensPerSecond.toFixed(1),
    steps ?? '–',
    read,
  ])
    row.insertCell().textContent = cell;
  const reasons = report?.reasons.map(({ reason, count }) => `${count} × ${reason}`) ?? [];
  element('reasons').textContent = reasons.join('; ') || 'nothing';
}

await busy(async () => {
  await choose();
  status.textContent = 'Choose a model and load it.';
}, isLoaded);
