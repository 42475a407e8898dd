// What the panel offers with the embedded model: the questions that it can answer, and what it cannot do.
import { codesIn } from './codes.ts';
import type { PageText, Settings } from './protocol.ts';

const MOST = 4;
const CANNOT =
  'This model finds codes of five digits that a text states, and can do nothing else: no summary, no chat. For other questions choose a model of the hub in the settings.';

let shown: string | undefined;

/** What stands above the questions. */
function heading(page: PageText | null, some: boolean): { title: string; note: string } {
  if (!page)
    return {
      title: 'Try it without a page',
      note: `The extension has a text of its own for the embedded model. ${CANNOT}`,
    };
  if (some) return { title: 'Questions that the embedded model can answer here', note: CANNOT };
  return {
    title: 'The embedded model can’t answer questions about this page',
    note: `${CANNOT} This page states none.`,
  };
}

/**
 * Shows the questions about a page that the embedded model can answer.
 *
 * @param page - null: it could not be read; undefined: nothing is offered now
 * @param onAsk - is told the question that the user takes
 */
export function showSuggestions(
  page: PageText | null | undefined,
  { model }: Settings,
  onAsk: (question: string) => void,
): void {
  const part = (id: string) => document.getElementById(id)!;
  const offered = page !== undefined && model === 'embedded';
  part('suggestions').hidden = !offered;
  if (!offered) return;
  const questions = page
    ? codesIn(page.text)
        .slice(0, MOST)
        .map(({ question }) => question)
    : [];
  // Buttons that are made anew would lose the focus.
  const key = JSON.stringify([page === null, questions]);
  if (shown === key) return;
  shown = key;
  const some = questions.length > 0;
  const { title, note } = heading(page, some);
  part('suggestions').classList.toggle('some', some);
  part('suggestions-title').textContent = title;
  part('suggestions-note').textContent = note;
  part('sample').hidden = some;
  part('suggestion-list').replaceChildren(
    ...questions.map((text) => {
      const item = document.createElement('li');
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'quiet';
      button.textContent = text;
      button.onclick = () => onAsk(text);
      item.append(button);
      return item;
    }),
  );
}
