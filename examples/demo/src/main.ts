// The page: a document, a question, the answer, and what the model reads for it.
import { BUNDLED, beginning, drawFacts, type Fact, hideFacts, readSource, type Source } from './document.ts';
import { byId, create } from './dom.ts';
import { count } from './format.ts';
import { findGpu } from './gpu.ts';
import { EMBEDDED, MODELS, type ModelChoice } from './models.ts';
import { PRESETS } from './presets.ts';
import { hideProblem, showNoGpu, showProblem } from './problem.ts';
import { packed, play, Recorder, type Recording } from './recording.ts';
import type { Listener, Question, Session } from './session.ts';
import { View } from './view.ts';

const view = new View();
const recorder = new Recorder();
const status = byId('status', HTMLElement);
const progress = byId('progress', HTMLProgressElement);
const problem = byId('problem', HTMLElement);
const question = byId('question', HTMLInputElement);
const length = byId('length', HTMLInputElement);
const preset = byId('preset', HTMLInputElement);
const modelSelect = byId('model', HTMLSelectElement);
const buttons = {
  ask: byId('ask', HTMLButtonElement),
  compare: byId('compare', HTMLButtonElement),
  stop: byId('stop', HTMLButtonElement),
};

let source: Source = BUNDLED;
let facts: Fact[] = drawFacts();
let chosen = 0;
let session: Session | undefined;
/** What was asked last: "Compare with stock" asks it again. */
let last: Question | undefined;
let running: AbortController | undefined;

const model = (): ModelChoice => MODELS[modelSelect.selectedIndex] ?? EMBEDDED;
const tokensWanted = (): number => Math.round(2 ** Number(length.value) / 16) * 16;
const say = (text: string, fraction: number | null = 0): void => {
  status.textContent = text;
  if (fraction === null) progress.removeAttribute('value');
  else progress.value = fraction;
};

function showChoices(): void {
  const embedded = model() === EMBEDDED;
  byId('length-out', HTMLOutputElement).value = count(tokensWanted());
  byId('document', HTMLElement).textContent = `${source.name}, ${count(source.text.length)} characters.`;
  const { quality, note } = PRESETS[Number(preset.value)]!;
  byId('preset-out', HTMLOutputElement).value = quality;
  byId('preset-note', HTMLElement).textContent = note;
  byId('model-note', HTMLElement).textContent = model().note;
  byId('facts', HTMLElement).replaceChildren(
    ...(embedded ? facts : []).map((fact, i) => {
      const button = create('button', { type: 'button', className: 'chip', textContent: fact.question });
      button.ariaPressed = String(i === chosen);
      button.addEventListener('click', () => {
        chosen = i;
        showChoices();
      });
      return button;
    }),
  );
  question.hidden = embedded;
  byId('question-note', HTMLElement).textContent = embedded
    ? 'This page has hidden these three facts in the document. The embedded model finds them; it does not chat.'
    : 'The question goes to the model after the document.';
}

/** The question as the model gets it, with as much of the document as was asked for. */
function questionFor(ask: Session): { question: Question; expected: string | undefined } {
  const room = (ask.context ?? 4096) - 160;
  const tokens = Math.min(tokensWanted(), room);
  const sample = source.text.slice(0, 8000);
  const perToken = sample.length / Math.max(1, ask.count(sample));
  // A text may have more tokens to a character further on: what is too long is cut again.
  let text = beginning(source.text, tokens * perToken);
  for (let read = ask.count(text); read > tokens; read = ask.count(text))
    text = beginning(text, Math.min((text.length * tokens) / read, text.length - 1));
  if (model() !== EMBEDDED) {
    const prompt = `${text}\n\nAnswer from the text above, in a sentence or two: ${question.value || 'What is this text about?'}`;
    return { question: { prompt, chat: true, newTokens: 160 }, expected: undefined };
  }
  const fact = facts[chosen]!;
  const prompt = hideFacts(text, facts).trimStart() + fact.prompt;
  return { question: { prompt, chat: false, newTokens: 8 }, expected: fact.answer };
}

const listener: Listener = {
  progress: (what, fraction) => say(`${what}…`, fraction),
  prompt: (tokens) => {
    const texts = tokens.map((token) => session!.decode([token]));
    recorder.note({
      kind: 'begin',
      question: facts[chosen]!.question,
      expected: facts[chosen]!.answer,
      tokens: texts,
    });
    view.begin(texts);
  },
  answer: (text, tokens, milliseconds) => {
    recorder.note({
      kind: 'say',
      text,
      tokens,
      milliseconds: Number.isNaN(milliseconds) ? null : milliseconds,
    });
    view.say(text, tokens, milliseconds);
    say('Answering…', null);
  },
  step: (step) => {
    recorder.note({ kind: 'step', step });
    view.step(step);
  },
};

/** Runs what a button asks for, which "Stop" ends. */
async function run(work: (signal: AbortSignal) => Promise<void>, done: string): Promise<void> {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  hideProblem(problem);
  for (const button of [buttons.ask, buttons.compare]) button.disabled = true;
  buttons.stop.disabled = false;
  document.documentElement.dataset.state = 'running';
  try {
    await work(signal);
    say(done, 1);
    document.documentElement.dataset.state = 'done';
  } catch (error) {
    document.documentElement.dataset.state = signal.aborted ? 'stopped' : 'failed';
    if (signal.aborted) say('Stopped.');
    else {
      say('That did not work.');
      showProblem(problem, error);
    }
  } finally {
    running = undefined;
    buttons.ask.disabled = false;
    buttons.compare.disabled = last === undefined;
    buttons.stop.disabled = true;
  }
}

async function ask(signal: AbortSignal): Promise<void> {
  const { Session } = await import('./session.ts');
  session ??= new Session();
  last = undefined;
  await session.load(model(), PRESETS[Number(preset.value)]!.quality, listener, signal);
  const { question, expected } = questionFor(session);
  await session.ask(question, listener, signal);
  last = question;
  recorder.note({ kind: 'answered' });
  view.judge(expected);
  const { report, summary } = await session.report();
  recorder.note({ kind: 'details', report, summary });
  view.details(report, summary);
}

async function compare(signal: AbortSignal): Promise<void> {
  say('Decoding the same prompt with stock and with sift…', null);
  const comparison = await session!.compare(last!, signal);
  recorder.note({ kind: 'compared', comparison });
  view.compared(comparison);
}

/** Without WebGPU there is something to look at all the same. */
async function offerRecording(): Promise<void> {
  const recording = (await (await fetch('./recorded.json')).json()) as Recording;
  buttons.ask.textContent = 'Play the recording';
  byId('question-note', HTMLElement).textContent =
    `Recorded on ${recording.date}: ${recording.model} on ${recording.machine}. Nothing is computed here. A model as small as this takes a fast GPU as long with sift as without. One of Llama-3.2-1B's shape was six times faster there, at 39,000 tokens.`;
  byId('controls', HTMLFormElement).dataset.recorded = '';
  for (const card of document.querySelectorAll<HTMLElement>('#drop, #facts, #length, #preset, #model')) {
    card.inert = true;
  }
  byId('controls', HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    void run((signal) => play(recording, view, signal), 'Played.');
  };
}

function listen(): void {
  byId('controls', HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    void run(ask, 'Done.');
  };
  buttons.compare.addEventListener('click', () => void run(compare, 'Compared.'));
  buttons.stop.addEventListener('click', () => running?.abort());
  for (const input of [length, preset, modelSelect]) input.addEventListener('input', showChoices);
  const open = async (file: File | undefined) => {
    if (!file) return;
    hideProblem(problem);
    try {
      source = await readSource(file);
      facts = drawFacts();
      showChoices();
      say(`${file.name} is open.`);
    } catch (error) {
      showProblem(problem, error);
    }
  };
  const file = byId('file', HTMLInputElement);
  file.addEventListener('change', () => void open(file.files?.[0]));
  const drop = byId('drop', HTMLElement);
  drop.addEventListener('dragover', (event) => event.preventDefault());
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    void open(event.dataTransfer?.files[0]);
  });
  byId('theme', HTMLButtonElement).addEventListener('click', () => {
    const root = document.documentElement;
    const dark =
      getComputedStyle(root).colorScheme === 'dark' ||
      (root.style.colorScheme === '' && matchMedia('(prefers-color-scheme: dark)').matches);
    root.style.colorScheme = dark ? 'light' : 'dark';
    view.recolour();
  });
}

async function start(): Promise<void> {
  listen();
  modelSelect.replaceChildren(
    ...MODELS.map(({ label, megabytes }) =>
      create('option', {
        textContent: `${label} · ${megabytes >= 1000 ? `${megabytes / 1000} GB` : `${megabytes} MB`}`,
      }),
    ),
  );
  const gpu = await findGpu();
  const runs = 'name' in gpu;
  const fast = runs && !gpu.software;
  // A model of the hub where there is a GPU for it and a network.
  modelSelect.selectedIndex = fast && navigator.onLine ? 1 : 0;
  // As many tokens as a GPU reads while somebody waits.
  length.max = fast ? '15' : '13';
  length.value = fast ? '12' : '9';
  byId('gpu', HTMLElement).textContent = runs ? gpu.name : 'No WebGPU';
  if (runs && gpu.software) byId('gpu', HTMLElement).textContent += ' (software: slow)';
  showChoices();
  if (!runs) {
    showNoGpu(byId('no-gpu', HTMLElement), gpu);
    await offerRecording();
  }
  Object.assign(window, {
    recording: () => packed({ machine: '', model: model().label, date: '', events: recorder.events }),
  });
  document.documentElement.dataset.state = 'ready';
}

void start().catch((error) => showProblem(problem, error));
