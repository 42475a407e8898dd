// How exchanges and the state of the model look in the panel.
import type { Exchange, ModelState } from './protocol.ts';

function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  text = '',
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

const milliseconds = (value: number) => (value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString());

/** The figures below an answer. */
export function figures(exchange: Exchange): string {
  const { promptTokens, cut, firstToken, perToken, read, steps } = exchange;
  const parts: string[] = [];
  if (promptTokens)
    parts.push(`${promptTokens.toLocaleString()} tokens read${cut ? ', the page’s beginning' : ''}`);
  if (firstToken !== null) parts.push(`first token after ${(firstToken / 1000).toFixed(1)} s`);
  if (perToken !== null) parts.push(`${milliseconds(perToken)} ms a token`);
  if (read !== null) parts.push(`${Math.round(100 * read)}% of V rows read`);
  else if (steps && steps.dense > 0) parts.push('every row read');
  return parts.join(' · ');
}

const WAITING = {
  queued: 'Waiting: a question of another tab is being answered…',
  waiting: 'Waiting for the model…',
  reading: 'Reading the page…',
} as const;

function answerOf({ status, answer, error }: Exchange): string {
  switch (status) {
    case 'failed':
      return [answer, error || 'It failed.'].filter(Boolean).join('\n\n');
    case 'stopped':
      return answer ? `${answer} (stopped)` : 'Stopped.';
    case 'answering':
      return answer || WAITING.reading;
    case 'done':
      return answer || 'The model had no answer.';
    default:
      return WAITING[status];
  }
}

/** Sets a text where it differs: what reads the page aloud would say it again. */
export function setText(part: Element, text: string): void {
  if (part.textContent !== text) part.textContent = text;
}

/** Shows an exchange: a new one at the end, or what changed of one that is shown. */
export function showExchange(list: HTMLOListElement, exchange: Exchange): void {
  let item = list.querySelector<HTMLLIElement>(`[data-id="${CSS.escape(exchange.id)}"]`);
  if (!item) {
    item = element('li', 'exchange');
    item.dataset.id = exchange.id;
    const answer = element('p', 'answer');
    answer.setAttribute('aria-live', 'polite');
    item.append(element('p', 'question', exchange.question), answer, element('p', 'figures'));
    list.append(item);
  }
  item.dataset.status = exchange.status;
  // What is read aloud is the answer, not each piece of it.
  item.querySelector('.answer')!.setAttribute('aria-busy', String(exchange.status === 'answering'));
  setText(item.querySelector('.answer')!, answerOf(exchange));
  setText(item.querySelector('.figures')!, figures(exchange));
}

const percent = (fraction: number | null) => (fraction === null ? '' : ` ${Math.round(100 * fraction)}%`);

/**
 * What the status line says, and how far loading is; `fraction` is undefined where nothing goes on.
 *
 * @param wasReady - the name of the model that was in memory before; empty if none was
 */
export function describe(model: ModelState, wasReady: string): { text: string; fraction?: number | null } {
  switch (model.phase) {
    case 'none':
      return {
        text: wasReady
          ? 'The model is no longer in memory. The next question loads it again.'
          : 'The first question loads the model.',
      };
    case 'loading': {
      const { name, fraction } = model;
      return { text: `Loading ${name}${wasReady === name ? ' again' : ''}…${percent(fraction)}`, fraction };
    }
    case 'enabling':
      return { text: `Trying sift on this GPU…${percent(model.fraction)}`, fraction: model.fraction };
    case 'ready': {
      const { name, adapter, quality, siftOff } = model;
      if (siftOff) return { text: `Ready, without sift: ${siftOff}` };
      const sift = quality === 'off' ? 'without sift, as the settings ask' : `with sift (${quality})`;
      return { text: `Ready ${sift}: ${name}, on ${adapter}` };
    }
  }
}
