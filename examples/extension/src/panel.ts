// The panel of one tab: its page, its questions and their answers.
import { hostOf } from './host.ts';
import { PageError, readPage } from './page.ts';
import { suggestions } from './prompt.ts';
import { DEFAULTS, type Exchange, type ModelState, type PageText, type Settings } from './protocol.ts';
import { settingsForm } from './settings.ts';
import { describe, showExchange } from './view.ts';

const byId = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const list = byId<HTMLOListElement>('exchanges');
const question = byId<HTMLTextAreaElement>('question');
const send = byId<HTMLButtonElement>('send');
const stop = byId<HTMLButtonElement>('stop');
const progress = byId<HTMLProgressElement>('progress');
const status = byId('status');

const tab = new URLSearchParams(location.search).get('tab') ?? '';
const STORED = `tab:${tab}`;
/** Whether the model was in memory since the browser was started: then it is loaded again, and the panel says so. */
const WAS_READY = 'model-was-ready';

let settings: Settings = DEFAULTS;
let page: PageText | undefined;
let model: ModelState = { phase: 'none' };
let wasReady = false;
let exchanges: Exchange[] = [];

const running = () => exchanges.some((it) => ['waiting', 'reading', 'answering'].includes(it.status));

function show(): void {
  for (const exchange of exchanges) showExchange(list, exchange);
  const { text, fraction } = describe(model, wasReady);
  if (status.textContent !== text) status.textContent = text;
  progress.hidden = fraction === undefined;
  if (typeof fraction === 'number') progress.value = fraction;
  else progress.removeAttribute('value');
  stop.hidden = !running();
  send.disabled = !page || running();
  showSuggestions();
}

function showSuggestions(): void {
  const found = page && settings.model === 'embedded' ? suggestions(page.text).slice(0, 4) : [];
  byId('suggestions').hidden = found.length === 0 || running();
  byId('suggestion-list').replaceChildren(
    ...found.map((text) => {
      const item = document.createElement('li');
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'quiet';
      button.textContent = text;
      button.onclick = () => void ask(text);
      item.append(button);
      return item;
    }),
  );
}

/** Keeps what has been asked until the browser is closed, and replaces what was known of an exchange. */
function keep(exchange: Exchange): void {
  const known = exchanges.findIndex(({ id }) => id === exchange.id);
  const before = exchanges[known]?.status;
  if (known < 0) exchanges.push(exchange);
  else exchanges[known] = exchange;
  if (before !== exchange.status) void chrome.storage.session.set({ [STORED]: exchanges });
  show();
}

const host = hostOf(
  tab,
  (state) => {
    ({ model } = state);
    if (model.phase === 'ready' && !wasReady) void chrome.storage.session.set({ [WAS_READY]: true });
    wasReady ||= model.phase === 'ready';
    if (state.exchange) keep(state.exchange);
    else show();
  },
  () => {
    model = { phase: 'none' };
    endRunning('The browser closed the document that holds the model. Ask again to load the model again.');
    show();
  },
);

/** What was under way when the model went away does not come any more. */
function endRunning(error: string): void {
  for (const exchange of exchanges)
    if (['waiting', 'reading', 'answering'].includes(exchange.status))
      keep({ ...exchange, status: 'failed', error });
}

async function ask(text: string): Promise<void> {
  if (!page || running() || !text.trim()) return;
  question.value = '';
  const id = crypto.randomUUID();
  try {
    await host.send({ type: 'ask', id, page, question: text.trim(), settings });
  } catch (error) {
    status.textContent = `The model's document could not be made: ${(error as Error).message}`;
  }
}

async function read(): Promise<void> {
  const note = byId('page-note');
  page = undefined;
  note.textContent = 'Reading the page…';
  try {
    page = await readPage(Number(tab));
    const words = page.text.split(/\s+/).length;
    byId('title').textContent = page.title;
    note.textContent = `${words.toLocaleString()} words. Nothing of the page leaves this device.`;
    if (settings.model === 'embedded' && suggestions(page.text).length === 0)
      note.textContent +=
        ' The embedded model finds codes in a text, and can do little else. For other questions choose a model of the hub in the settings.';
  } catch (error) {
    note.textContent = error instanceof PageError ? error.message : `The page cannot be read: ${error}`;
  }
  show();
}

byId<HTMLFormElement>('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  void ask(question.value);
});
question.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId<HTMLFormElement>('ask').requestSubmit();
});
stop.addEventListener('click', () => void host.send({ type: 'stop' }));
byId('reread').addEventListener('click', () => void read());

const stored = await chrome.storage.session.get([STORED, WAS_READY]);
exchanges = (stored[STORED] as Exchange[] | undefined) ?? [];
wasReady = Boolean(stored[WAS_READY]);
await settingsForm(byId<HTMLFormElement>('settings'), (chosen) => {
  settings = chosen;
  show();
});
await read();
await host.connect().catch((error: Error) => {
  status.textContent = `The model's document could not be made: ${error.message}`;
});
