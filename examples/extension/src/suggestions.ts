// What the panel offers with the embedded model: the questions that it can answer, and what it cannot do.
import { codesIn } from './codes.ts';
import type { PageText, Settings } from './protocol.ts';

const MOST = 4;
const CANNOT =
  'It finds codes of five digits that a text states, and can do nothing else: no summary, no chat. For other questions choose a model of the hub in the settings.';

let shown: string | undefined;

/**
 * Shows the questions about a page that the embedded model can answer.
 *
 * @param page - undefined: none are offered now
 * @param onAsk - is told the question that the user takes
 */
export function showSuggestions(
  page: PageText | undefined,
  { model }: Settings,
  onAsk: (question: string) => void,
): void {
  const part = (id: string) => document.getElementById(id)!;
  const offered = page && model === 'embedded' ? codesIn(page.text).slice(0, MOST) : undefined;
  part('suggestions').hidden = !offered;
  if (!offered) return;
  const questions = offered.map(({ question }) => question);
  // Buttons that are made anew would lose the focus.
  if (shown === JSON.stringify(questions)) return;
  shown = JSON.stringify(questions);
  const some = questions.length > 0;
  part('suggestions-title').textContent = some
    ? 'Questions that the embedded model can answer here'
    : 'The embedded model can’t answer questions about this page';
  part('suggestions-note').textContent = some ? CANNOT : `${CANNOT} This page states none.`;
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
