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

const WAITING = { waiting: 'Waiting for the model…', reading: 'Reading the page…' } as const;

function answerOf({ status, answer, error }: Exchange): string {
  if (status === 'failed') return answer ? `${answer}\n\n${error}` : (error ?? 'It failed.');
  if (status === 'waiting' || status === 'reading') return WAITING[status];
  if (status === 'stopped') return answer ? `${answer} (stopped)` : 'Stopped.';
  return answer || 'The model had no answer.';
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
  const set = (selector: string, text: string) => {
    const part = item.querySelector(selector)!;
    if (part.textContent !== text) part.textContent = text;
  };
  set('.answer', answerOf(exchange));
  set('.figures', figures(exchange));
}

/** What the status line says, and how far loading is; `fraction` is undefined where nothing goes on. */
export function describe(model: ModelState, again: boolean): { text: string; fraction?: number | null } {
  switch (model.phase) {
    case 'none':
      return {
        text: again
          ? 'The model is no longer in memory. The next question loads it again.'
          : 'The first question loads the model.',
      };
    case 'loading': {
      const percent = model.fraction === null ? '' : ` ${Math.round(100 * model.fraction)}%`;
      return { text: `Loading ${model.name}${again ? ' again' : ''}…${percent}`, fraction: model.fraction };
    }
    case 'enabling':
      return { text: 'Trying sift on this GPU…', fraction: null };
    case 'ready':
      return {
        text: model.siftOff
          ? `Ready, without sift: ${model.siftOff}`
          : `Ready: ${model.name} on ${model.adapter}`,
      };
  }
}
