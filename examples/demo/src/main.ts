import { Charts } from './charts.ts';
import { Controls } from './controls.ts';
import { byId, create, nextPaint } from './dom.ts';
import { count } from './format.ts';
import { commonStart, decodeSpeed, type Generation, generate, stopper } from './generate.ts';
import { findGpu } from './gpu.ts';
import { Heatmap } from './heatmap.ts';
import { History } from './history.ts';
import { checkOptions, ensureLoaded, type Loaded, warmupOf } from './model.ts';
import { showNumbers } from './numbers.ts';
import { hideProblem, showProblem } from './problem.ts';
import { Side } from './side.ts';

/** Steps between two readings for the live curves; the end of the warm-up is read, too. */
const POLL_EVERY = 8;
const MIN_STEPS_FOR_SPEED = 16;

const status = byId('status', HTMLElement);
const progress = byId('progress', HTMLProgressElement);
const problem = byId('problem', HTMLElement);
const verdict = byId('verdict', HTMLElement);
const stop = byId('stop', HTMLButtonElement);
const controls = new Controls();
const stock = new Side(byId('stock', HTMLElement), 'Stock', 'The runtime as it is.');
const sift = new Side(byId('sift', HTMLElement), 'Sift', 'The same model with the plugin.');
const charts = new Charts(byId('plot-threshold', HTMLElement), byId('plot-kept', HTMLElement));
const heatmap = new Heatmap(byId('heatmap', HTMLElement));
heatmap.show(undefined);
let loaded: Loaded | undefined;
let software = false;
let working = false;

function report(what: string, fraction: number | null): void {
  if (!working) return; // a download that outlives its error
  if (status.textContent !== what) status.textContent = what;
  progress.hidden = false;
  if (fraction === null) progress.removeAttribute('value');
  else progress.value = fraction;
}

function idle(what: string): void {
  working = false;
  status.textContent = what;
  progress.hidden = true;
}

async function load(): Promise<Loaded> {
  const { model, sift: options } = controls;
  checkOptions(options);
  const before = loaded;
  loaded = undefined; // whatever fails on the way leaves nothing half loaded
  loaded = await ensureLoaded(before, model, options, report);
  if (loaded !== before) controls.modelLoaded(loaded);
  return loaded;
}

/** Runs something with the form locked, and shows what goes wrong. */
async function busy(work: () => Promise<string>): Promise<void> {
  working = true;
  hideProblem(problem);
  controls.lock(true);
  try {
    idle(await work());
  } catch (error) {
    console.error(error);
    idle('Stopped by an error.');
    showProblem(problem, error);
  } finally {
    controls.lock(false);
    stop.disabled = true;
  }
}

async function compare(): Promise<string> {
  const ready = await load();
  const warmup = warmupOf(ready.siftChoice);
  const { newTokens, goOn, answer, live } = controls;
  const options = { ...controls.promptFor(ready), newTokens, goOn };
  const history = new History();
  stopper.reset();
  stop.disabled = false;
  for (const side of [stock, sift]) side.begin();
  verdict.className = 'verdict card';
  verdict.textContent = 'Generating…';
  charts.show([], warmup, newTokens - 1);
  const results = byId('results', HTMLElement);
  if (results.getBoundingClientRect().top > innerHeight / 2) results.scrollIntoView();
  await nextPaint();

  const run = (side: Side, name: string, onStep: (tokens: number) => void = () => {}) => {
    report(`Generating with ${name}: reading the prompt`, null);
    return generate(
      ready,
      options,
      (text) => side.stream(text),
      (tokens) => {
        report(`Generating with ${name}`, tokens / newTokens);
        side.showProgress(tokens, newTokens);
        onStep(tokens);
      },
    );
  };

  ready.sift.disable();
  let theirs: Generation;
  try {
    theirs = await run(stock, 'stock');
    stock.finish(theirs, null, answer, warmup);
  } finally {
    ready.sift.enable();
  }
  if (stopper.interrupted) return stopped();

  let polling = false;
  let readings = Promise.resolve();
  const poll = async () => {
    polling = true;
    history.add(await ready.sift.report());
    charts.show(history.points, warmup, newTokens - 1);
    polling = false;
  };
  const ours = await run(sift, 'sift', (tokens) => {
    const step = tokens - 1;
    // A reading taken at the very end of the warm-up would see some layers one step later, sifting already.
    const due = (step % POLL_EVERY === 0 && step !== warmup) || step === warmup + 1;
    if (live && step > 0 && due && !polling) readings = poll();
  });
  await readings;
  const final = await ready.sift.report();
  history.add(final);
  charts.show(history.points, warmup, newTokens - 1);
  showComparison(theirs, ours, answer, warmup);
  heatmap.show(final);
  showNumbers(byId('numbers', HTMLElement), byId('reasons', HTMLElement), final);
  if (stopper.interrupted) return stopped();
  return final.steps.sifted > 0
    ? 'Done.'
    : 'Done, but no step was sifted: generate more tokens than the warm-up has steps, or see the reasons below.';
}

function stopped(): string {
  if (verdict.textContent === 'Generating…') verdict.textContent = 'Stopped before both texts were there.';
  return 'Stopped.';
}

function showComparison(theirs: Generation, ours: Generation, answer: string | null, warmup: number): void {
  const common = commonStart(theirs, ours);
  const shorter = Math.min(theirs.tokens.length, ours.tokens.length);
  const same = common.tokens === shorter;
  const cut = theirs.tokens.length !== ours.tokens.length;
  const from = same ? null : common.characters;
  stock.finish(theirs, from, answer, warmup);
  sift.finish(ours, from, answer, warmup);
  verdict.className = `verdict card ${same ? 'same' : 'differs'}`;
  const parts = [
    same
      ? `The texts are the same, ${cut ? 'as far as both go:' : 'all'} ${count(common.tokens)} tokens.`
      : `The first ${count(common.tokens)} tokens are the same; from there on (marked) the texts differ.`,
  ];
  if (answer !== null && !stopper.interrupted) {
    const found = [theirs, ours].map(({ text }) => text.includes(answer));
    const who = found[0]
      ? found[1]
        ? 'Both found'
        : 'Only stock found'
      : found[1]
        ? 'Only sift found'
        : 'Neither found';
    parts.push(`${who} the planted ${answer}.`);
  }
  // A few steps, or a processor that does a GPU's work, say nothing about speed.
  const enough = ours.times.length - 1 - warmup >= MIN_STEPS_FOR_SPEED && !software;
  const before = decodeSpeed(theirs, warmup);
  const after = decodeSpeed(ours, warmup);
  if (enough && before !== null && after !== null) {
    parts.push(`After the warm-up sift decoded at ${(after / before).toFixed(2)} times the speed of stock.`);
  }
  verdict.textContent = parts.join(' ');
}

controls.form.addEventListener('submit', (event) => {
  event.preventDefault();
  void busy(compare);
});
byId('load', HTMLButtonElement).addEventListener('click', () => {
  if (!controls.form.reportValidity()) return;
  void busy(async () => {
    const { choice, context } = await load();
    return `${choice.hubId ?? 'The embedded model'} is ready, context ${count(context)} tokens.`;
  });
});
stop.addEventListener('click', () => stopper.interrupt());

const gpu = await findGpu();
const chip = byId('gpu', HTMLElement);
if ('problem' in gpu) {
  chip.textContent = 'No WebGPU';
  const box = byId('no-gpu', HTMLElement);
  box.replaceChildren(
    create('code', { textContent: 'NO_WEBGPU' }),
    create('p', { textContent: `${gpu.problem} The demo cannot run here. What to do:` }),
    create('ul', {}, ...gpu.remedies.map((remedy) => create('li', { textContent: remedy }))),
  );
  box.hidden = false;
  controls.lock(true);
  idle('WebGPU is missing.');
} else {
  chip.textContent = gpu.software ? `${gpu.name} · software, slow` : gpu.name;
  software = gpu.software;
  if (software) controls.useSmallDefaults();
}
document.documentElement.dataset.ready = 'true';
