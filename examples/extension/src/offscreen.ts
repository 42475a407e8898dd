// Holds the worker that runs the model, and takes the questions of all tabs to it, one after the other.
//
// A document that is not seen is the right place for the model. The service worker is ended after half a minute without events, and the
// model with it. The panel is closed by the user, and each tab has another. This document stays until the extension is reloaded. The
// model runs in a worker of it, because documents of one extension may share a thread, and the panel must stay smooth.

import type { ToPanel, ToWorker } from './protocol.ts';
import {
  type Ask,
  type Exchange,
  type FromPanel,
  type FromWorker,
  isOpen,
  type ModelState,
  PORT,
} from './protocol.ts';

/** With no panel open for so long, the worker is ended: a model may take gigabytes of the GPU's memory. */
const IDLE_MS = 10 * 60_000;

let worker: Worker | undefined;
let model: ModelState = { phase: 'none' };
let idle: ReturnType<typeof setTimeout> | undefined;

/** Open panels by tab. */
const ports = new Map<string, chrome.runtime.Port>();
/** The latest exchange of each tab. */
const exchanges = new Map<string, Exchange>();

function tell(tab: string): void {
  const message: ToPanel = { model, exchange: exchanges.get(tab) ?? null };
  ports.get(tab)?.postMessage(message);
}

function change(id: string, changes: Partial<Exchange>): void {
  for (const [tab, exchange] of exchanges) {
    if (exchange.id !== id) continue;
    Object.assign(exchange, changes);
    tell(tab);
  }
}

const othersWait = (tab: string) => [...exchanges].some(([other, it]) => other !== tab && isOpen(it));

/** Ends the worker. What was asked is answered by the reason. */
function endWorker(reason: string): void {
  worker?.terminate();
  worker = undefined;
  model = { phase: 'none' };
  for (const exchange of exchanges.values())
    if (isOpen(exchange)) Object.assign(exchange, { status: 'failed', error: reason });
  for (const tab of ports.keys()) tell(tab);
}

function startWorker(): Worker {
  const started = new Worker(new URL('./model-worker.ts', import.meta.url), {
    type: 'module',
    name: 'model',
  });
  started.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    if (data.type === 'exchange') return change(data.id, data.change);
    model = data.model;
    for (const tab of ports.keys()) tell(tab);
  };
  started.onerror = ({ message }) =>
    endWorker(
      `The model's worker ended (${message || 'no reason was given'}). Ask again to load the model again.`,
    );
  return started;
}

function ask(tab: string, ask: Ask): void {
  // One question of a tab at a time: the panel offers no more.
  const before = exchanges.get(tab);
  if (before && isOpen(before)) {
    tell(tab);
    return;
  }
  exchanges.set(tab, {
    id: ask.id,
    question: ask.question,
    answer: '',
    status: othersWait(tab) ? 'queued' : 'waiting',
    error: null,
    promptTokens: 0,
    cut: false,
    tokens: 0,
    firstToken: null,
    perToken: null,
    read: null,
    steps: null,
  });
  worker ??= startWorker();
  worker.postMessage({ type: 'ask', ask } satisfies ToWorker);
  tell(tab);
}

/** Stops the question of a tab. Loading ends too, unless another tab waits for it: the library can't be stopped while it loads. */
function stop(tab: string): void {
  const exchange = exchanges.get(tab);
  if (!exchange || !isOpen(exchange)) return;
  const loading = model.phase === 'loading' || model.phase === 'enabling';
  if (loading && !othersWait(tab)) {
    exchange.status = 'stopped';
    endWorker('');
  } else worker?.postMessage({ type: 'stop', id: exchange.id } satisfies ToWorker);
}

chrome.runtime.onConnect.addListener((port) => {
  if (!port.name.startsWith(PORT)) return;
  const tab = port.name.slice(PORT.length);
  clearTimeout(idle);
  ports.set(tab, port);
  port.onMessage.addListener((message: FromPanel) => {
    if (message.type === 'ask') ask(tab, message);
    else stop(tab);
  });
  // An answer goes on when its panel is closed, and the panel finds it when it is opened again.
  port.onDisconnect.addListener(() => {
    if (ports.get(tab) === port) ports.delete(tab);
    if (ports.size > 0) return;
    clearTimeout(idle);
    idle = setTimeout(() => endWorker('The model was unloaded, because no panel was open.'), IDLE_MS);
  });
  tell(tab);
});
