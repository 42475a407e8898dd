// The panel of one tab: its page, its questions and their answers.
import { codeAskedFor } from './codes.ts';
import { hostOf } from './host.ts';
import { PageError, readPage, readSample } from './page.ts';
import {
  type Clicked,
  DEFAULTS,
  type Exchange,
  isOpen,
  type ModelState,
  type PageText,
  type Settings,
} from './protocol.ts';
import { settingsForm } from './settings.ts';
import { showSuggestions } from './suggestions.ts';
import { describe, setText, showExchange } from './view.ts';

const byId = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const list = byId<HTMLOListElement>('exchanges');
const question = byId<HTMLTextAreaElement>('question');
const note = byId('question-note');
const send = byId<HTMLButtonElement>('send');
const stop = byId<HTMLButtonElement>('stop');
const progress = byId<HTMLProgressElement>('progress');

const tab = new URLSearchParams(location.search).get('tab') ?? '';
const STORED = `tab:${tab}`;
/** The name of the model that was in memory since the browser was started. If it is loaded again, the panel says so. */
const WAS_READY = 'model-was-ready';

let settings: Settings = DEFAULTS;
/** Null if the page could not be read, undefined while it is read. */
let page: PageText | null | undefined;
let model: ModelState = { phase: 'none' };
let wasReady = '';
let exchanges: Exchange[] = [];
/** A question is on its way to the model, and not yet among the exchanges. */
let sending = false;
/** Why the document that holds the model is not there; empty if it can be made. */
let hostProblem = '';

const running = () => sending || exchanges.some(isOpen);

function show(): void {
  for (const exchange of exchanges) showExchange(list, exchange);
  const { text, fraction } = describe(model, wasReady);
  setText(byId('status'), hostProblem || text);
  progress.hidden = fraction === undefined;
  if (typeof fraction === 'number') progress.value = fraction;
  else progress.removeAttribute('value');
  // A button that goes away takes the focus with it.
  if (!running() && document.activeElement === stop) question.focus();
  stop.hidden = !running();
  send.disabled = !page || running();
  showSuggestions(running() ? undefined : page, settings, ask);
}

/** Keeps what has been asked until the browser is closed, and replaces what was known of an exchange. */
function keep(exchange: Exchange): void {
  const known = exchanges.findIndex(({ id }) => id === exchange.id);
  const before = exchanges[known];
  if (known < 0) exchanges.push(exchange);
  else exchanges[known] = exchange;
  if (before?.status !== exchange.status) void chrome.storage.session.set({ [STORED]: exchanges });
  const all = document.documentElement;
  const atEnd = all.scrollHeight - all.scrollTop - all.clientHeight < 40;
  show();
  // The newest words stay in sight, unless the user has gone back to others.
  if (known < 0 || atEnd) all.scrollTop = all.scrollHeight;
}

/** What was under way when the model went away does not come any more. */
function endRunning(error: string): void {
  for (const exchange of exchanges) if (isOpen(exchange)) keep({ ...exchange, status: 'failed', error });
}

const GONE = 'The browser closed the document that holds the model. Ask again to load the model again.';

const host = hostOf(
  tab,
  (state) => {
    ({ model } = state);
    hostProblem = '';
    if (model.phase === 'ready' && wasReady !== model.name) {
      wasReady = model.name;
      void chrome.storage.session.set({ [WAS_READY]: wasReady });
    }
    if (state.exchange) {
      sending = false;
      keep(state.exchange);
    } else {
      // What an earlier panel of this tab waited for went away with the document.
      endRunning(GONE);
      show();
    }
  },
  () => {
    model = { phase: 'none' };
    sending = false;
    endRunning(GONE);
    show();
  },
);

/** Shows why there is no line to the model. */
function noHost(error: Error): void {
  sending = false;
  hostProblem = `The model's document could not be made. Reload the extension. (${error.message})`;
  show();
}

async function ask(text: string): Promise<void> {
  const asked = text.trim();
  if (!page || running() || !asked) return;
  if (settings.model === 'embedded' && !codeAskedFor(asked, page.text)) {
    note.textContent =
      'The embedded model can’t answer this: it finds codes that a text states, and nothing else. Take one of the questions above, if there are any, or choose a model of the hub in the settings.';
    return;
  }
  note.textContent = '';
  sending = true;
  show();
  question.focus();
  try {
    await host.send({ type: 'ask', id: crypto.randomUUID(), page, question: asked, settings });
    if (question.value.trim() === asked) question.value = '';
  } catch (error) {
    noHost(error as Error);
  }
}

/** Counts the readings. An earlier one that ends later is not shown. */
let taken = 0;

/** Takes a text in place of the one before, and says why if there is none. */
async function take(read: () => Promise<PageText>): Promise<void> {
  const pageNote = byId('page-note');
  const mine = ++taken;
  page = undefined;
  setText(pageNote, 'Reading the page…');
  try {
    const text = await read();
    if (mine !== taken) return;
    page = text;
    byId('title').textContent = page.title;
    const words = page.text.split(/\s+/).length;
    setText(pageNote, `${words.toLocaleString()} words. Nothing of the page leaves this device.`);
  } catch (error) {
    if (mine !== taken) return;
    page = null;
    byId('title').textContent = 'Ask this page';
    setText(pageNote, error instanceof PageError ? error.message : `The page can’t be read: ${error}`);
  }
  pageNote.classList.toggle('bad', !page);
  byId('read-text').hidden = !page;
  byId<HTMLTextAreaElement>('page-text').value = page?.text ?? '';
  note.textContent = '';
  show();
}

const readThisPage = () => take(() => readPage(Number(tab)));

byId<HTMLFormElement>('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  void ask(question.value);
});
question.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId<HTMLFormElement>('ask').requestSubmit();
});
question.addEventListener('input', () => {
  note.textContent = '';
});
stop.addEventListener('click', () => void host.send({ type: 'stop' }).catch(noHost));
byId('reread').addEventListener('click', () => void readThisPage());
byId('sample').addEventListener('click', () => {
  question.focus();
  void take(readSample);
});
// The page that is asked about is the one that the tab shows. After a click on the icon it may be read where it could not be before.
chrome.tabs.onUpdated.addListener((id, { status }) => {
  if (String(id) === tab && status === 'complete') void readThisPage();
});
chrome.runtime.onMessage.addListener((message: Clicked) => {
  if (message.type === 'clicked' && message.tab === tab) void readThisPage();
});

const stored = await chrome.storage.session.get([STORED, WAS_READY]);
exchanges = (stored[STORED] as Exchange[] | undefined) ?? [];
wasReady = (stored[WAS_READY] as string | undefined) ?? '';
await settingsForm(byId<HTMLFormElement>('settings'), (chosen) => {
  settings = chosen;
  note.textContent = '';
  show();
});
await readThisPage();
await host.connect().catch(noHost);
