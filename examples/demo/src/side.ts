import { create } from './dom.ts';
import { count, speed } from './format.ts';
import { decodeSpeed, type Generation } from './generate.ts';

/** One of the two columns. */
export class Side {
  private readonly progress = create('span');
  private readonly speeds = create('dl', { className: 'speeds' });
  private readonly text = create('div', { className: 'text', tabIndex: 0 });

  constructor(
    private readonly element: HTMLElement,
    private readonly title: string,
    about: string,
  ) {
    this.text.setAttribute('aria-live', 'polite');
    this.text.setAttribute('role', 'log');
    this.text.setAttribute('aria-label', `Text of ${title}`);
    element.append(create('header', {}, create('h2', { textContent: title }), this.progress));
    element.append(this.speeds, this.text);
    this.text.append(create('span', { className: 'empty', textContent: about }));
    this.showSpeeds(undefined, 0);
  }

  /** Empties the column; `busy` while text streams in. */
  begin(): void {
    this.text.replaceChildren();
    this.progress.textContent = '';
    this.showSpeeds(undefined, 0);
  }

  stream(text: string): void {
    this.element.setAttribute('aria-busy', 'true');
    const { scrollTop, scrollHeight, clientHeight } = this.text;
    const atEnd = scrollTop + clientHeight > scrollHeight - 30;
    this.text.textContent = text;
    if (atEnd) this.text.scrollTop = this.text.scrollHeight;
  }

  showProgress(tokens: number, of: number): void {
    this.progress.textContent = `${count(tokens)} of ${count(of)} tokens`;
  }

  /** Shows the text with the part from `differs` on marked, and the answer in bold. */
  finish(generation: Generation, differs: number | null, answer: string | null, warmup: number): void {
    this.element.removeAttribute('aria-busy');
    const { text } = generation;
    const end = differs ?? text.length;
    const found = answer === null ? -1 : text.indexOf(answer);
    const same: (Node | string)[] = [text.slice(0, end)];
    if (answer !== null && found >= 0 && found + answer.length <= end) {
      same.splice(
        0,
        1,
        text.slice(0, found),
        create('b', { textContent: answer }),
        text.slice(found + answer.length, end),
      );
    }
    this.text.replaceChildren(...same);
    if (end < text.length) this.text.append(create('mark', { textContent: text.slice(end) }));
    this.text.scrollTop = 0;
    this.progress.textContent = `${count(generation.tokens.length)} tokens · prefill ${(generation.prefill / 1000).toFixed(2)} s`;
    this.showSpeeds(generation, warmup);
  }

  private showSpeeds(generation: Generation | undefined, warmup: number): void {
    const entries: [string, number | null][] = [
      ['decoding', generation ? decodeSpeed(generation) : null],
      [
        this.title === 'Sift' ? 'after the warm-up' : 'same steps as sifted',
        generation ? decodeSpeed(generation, warmup) : null,
      ],
    ];
    this.speeds.replaceChildren(
      ...entries.map(([name, value]) =>
        create(
          'div',
          {},
          create('dt', { textContent: name }),
          create('dd', {}, speed(value), create('small', { textContent: ' tokens/s' })),
        ),
      ),
    );
  }
}
