// Any prebuilt model of web-llm, with sift on or off. Needs the network; see the page for what was tested.
import { MLCEngine, prebuiltAppConfig } from '@mlc-ai/web-llm';
import { enableSift, type Sift } from '../../src/index.ts';

function byId<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const model = byId<HTMLSelectElement>('model');
const load = byId<HTMLButtonElement>('load');
const generate = byId<HTMLButtonElement>('generate');
const siftOn = byId<HTMLInputElement>('sift');
const tau = byId<HTMLSelectElement>('tau');
const output = byId<HTMLPreElement>('output');
const status = byId<HTMLSpanElement>('status');
const numberOf = (id: string) => Number(byId<HTMLInputElement>(id).value);

for (const { model_id, vram_required_MB } of prebuiltAppConfig.model_list) {
  const size = vram_required_MB ? ` (${(vram_required_MB / 1024).toFixed(1)} GB)` : '';
  model.add(new Option(model_id + size, model_id, false, model_id.startsWith('Llama-3.2-1B-Instruct-q4f16')));
}

const engine = new MLCEngine({ initProgressCallback: ({ text }) => (status.textContent = text) });
// Before anything is loaded: the plugin takes every model that the engine loads from now on.
let sift: Sift = await enableSift(engine, { tau: Number(tau.value) });

/** A long prompt of the wanted number of words, one line of which is worth finding. */
function filler(words: number): string {
  const lines = Array.from({ length: Math.floor(words / 10) }, (_, i) =>
    i === Math.floor(words / 23)
      ? `Line ${i}: the keeper of the lighthouse counted the ships at dusk.`
      : `Line ${i}: in the harbour the boats were waiting for wind.`,
  );
  return lines.join('\n');
}

/** Runs a task with the buttons off, and shows what goes wrong. */
async function busy(task: () => Promise<void>): Promise<void> {
  load.disabled = generate.disabled = true;
  try {
    await task();
    generate.disabled = false;
  } catch (error) {
    status.textContent = `failed: ${error instanceof Error ? error.message : error}`;
  }
  load.disabled = false;
}

load.onclick = () =>
  busy(async () => {
    status.textContent = 'loading…';
    await engine.reload(model.value, { context_window_size: numberOf('context') });
    status.textContent = 'ready';
  });

tau.onchange = () =>
  busy(async () => {
    sift.dispose();
    sift = await enableSift(engine, { tau: Number(tau.value) });
  });

generate.onclick = () =>
  busy(async () => {
    if (siftOn.checked) sift.enable();
    else sift.disable();
    await engine.resetChat();
    output.textContent = '';
    const content = `${filler(numberOf('filler'))}\n\n${byId<HTMLTextAreaElement>('prompt').value}`;
    const stream = await engine.chat.completions.create({
      messages: [{ role: 'user', content }],
      max_tokens: numberOf('tokens'),
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    status.textContent = 'generating…';
    for await (const { choices, usage } of stream) {
      output.textContent += choices[0]?.delta.content ?? '';
      if (!usage) continue;
      const report = await sift.report();
      const read = report.keptGroup;
      const cells = [
        `${model.value}, ${siftOn.checked ? `sift, drop ${tau.value}` : 'stock'}`,
        usage.prompt_tokens,
        usage.extra.decode_tokens_per_s.toFixed(1),
        siftOn.checked ? `${report.steps.sifted} of ${report.steps.sifted + report.steps.dense}` : '–',
        siftOn.checked && read !== null ? `${(100 * read).toFixed(1)}%` : '–',
      ];
      const row = byId<HTMLTableSectionElement>('runs').insertRow();
      for (const cell of cells) row.insertCell().textContent = String(cell);
      byId('reasons').textContent =
        report.reasons.map(({ reason, count }) => `${count} × ${reason}`).join('\n') || 'none';
    }
    status.textContent = 'ready';
  });

document.body.dataset.ready = '';
