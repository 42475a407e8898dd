import type { HeadReport, SiftReport } from '../../../src/index.ts';
import { create } from './dom.ts';
import { percent, short } from './format.ts';

const STATUS: Record<HeadReport['status'], string> = {
  given: 'sifting with the threshold that the policy gives',
  learning: 'learning: every row is kept',
  fitted: 'sifting with the fitted threshold',
  guarded: 'every row kept: half of the probability had been lost',
  unfit: 'every row kept: the fit was unusable',
};

/** Layers by query heads as a table: colour is the kept fraction, details on hover, focus and arrow keys. */
export class Heatmap {
  private readonly tip: HTMLElement;
  private focused: [row: number, column: number] = [0, 0];

  constructor(private readonly container: HTMLElement) {
    this.tip = create('div', { className: 'tip', id: 'heat-tip', hidden: true });
    this.tip.setAttribute('role', 'tooltip');
    document.body.append(this.tip);
    container.addEventListener('keydown', (event) => this.move(event));
  }

  show(report: SiftReport | undefined): void {
    this.tip.hidden = true;
    if (!report || report.layers.length === 0) {
      this.container.replaceChildren(
        create('p', { className: 'empty', textContent: 'One cell per layer and query head, after a run.' }),
      );
      return;
    }
    const heads = report.layers[0]!.heads.length;
    const groupSize = heads / Math.max(1, report.layers[0]!.groups.length);
    const head = create('tr', {}, create('td'));
    for (let i = 0; i < heads; i++) {
      const title = create('th', { scope: 'col', textContent: String(i) });
      title.classList.toggle('group-start', i > 0 && i % groupSize === 0);
      head.append(title);
    }
    const rows = report.layers.map((layer, row) => {
      const line = create('tr', {}, create('th', { scope: 'row', textContent: String(layer.layer) }));
      layer.heads.forEach((figures, column) => {
        const cell = this.cell(figures, row, column, [
          `Layer ${layer.layer}, head ${column}`,
          `KV group ${Math.floor(column / groupSize)} read ${percent(layer.groups[Math.floor(column / groupSize)] ?? 1)} of its V rows`,
        ]);
        cell.classList.toggle('group-start', column > 0 && column % groupSize === 0);
        line.append(cell);
      });
      return line;
    });
    this.container.style.setProperty('--heads', String(heads));
    const table = create(
      'table',
      { className: heads > 16 ? 'heat dense' : 'heat' },
      create('caption', {
        className: 'visually-hidden',
        textContent: 'Kept fraction of each query head, layers in rows and heads in columns',
      }),
      create('thead', {}, head),
      create('tbody', {}, ...rows),
    );
    this.container.replaceChildren(table);
    this.at(...this.focused)?.setAttribute('tabindex', '0');
    if (!this.at(...this.focused)) {
      this.focused = [0, 0];
      this.at(0, 0)?.setAttribute('tabindex', '0');
    }
  }

  private cell(figures: HeadReport, row: number, column: number, [title, group]: string[]): HTMLElement {
    const cell = create('td', { tabIndex: -1, className: 'heat-cell' });
    // The square root tells small fractions apart.
    const level = Math.sqrt(Math.min(1, figures.kept));
    cell.style.setProperty('--level', percent(level));
    cell.dataset.level = level > 0.7 ? 'high' : level > 0.5 ? 'middle' : 'low';
    cell.append(create('span', { textContent: (figures.kept * 100).toFixed(figures.kept < 0.095 ? 1 : 0) }));
    const { fit } = figures;
    const details = [
      ['kept', percent(figures.kept)],
      ['last step', percent(figures.lastKept)],
      ['probability kept', percent(figures.keptMass)],
      ['threshold', figures.threshold === null ? 'none' : short(figures.threshold)],
      ...(fit
        ? [
            ['α', short(fit.alpha)],
            ['β', short(fit.beta)],
            ['R²', short(fit.r2)],
          ]
        : []),
    ];
    const open = () => {
      this.tip.replaceChildren(
        create('strong', { textContent: title! }),
        create(
          'dl',
          {},
          ...details.flatMap(([name, value]) => [
            create('dt', { textContent: name! }),
            create('dd', { textContent: value! }),
          ]),
        ),
        create('small', { textContent: STATUS[figures.status] }),
        create('small', { textContent: group! }),
      );
      this.place(cell);
      cell.setAttribute('aria-describedby', this.tip.id);
    };
    const shut = () => {
      this.tip.hidden = true;
      cell.removeAttribute('aria-describedby');
    };
    cell.addEventListener('pointerenter', open);
    cell.addEventListener('pointerleave', shut);
    cell.addEventListener('blur', shut);
    cell.addEventListener('focus', () => {
      this.at(...this.focused)?.setAttribute('tabindex', '-1');
      this.focused = [row, column];
      cell.setAttribute('tabindex', '0');
      open();
    });
    return cell;
  }

  /** Puts the tooltip above its cell, or below where there is no room, inside the window. */
  private place(cell: HTMLElement): void {
    this.tip.hidden = false;
    const at = cell.getBoundingClientRect();
    const { width, height } = this.tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - width / 2), innerWidth - width - 8);
    const top = at.top - height - 8;
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${top < 8 ? at.bottom + 8 : top}px`;
  }

  private at(row: number, column: number): HTMLElement | undefined {
    const line = this.container.querySelectorAll('tbody tr')[row];
    return line?.querySelectorAll<HTMLElement>('td')[column];
  }

  private move(event: KeyboardEvent): void {
    const [row, column] = this.focused;
    const to = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [row, 0],
    }[event.key];
    if (event.key === 'Escape') this.tip.hidden = true;
    const cell = to && this.at(to[0]!, to[1]!);
    if (!cell) return;
    event.preventDefault();
    cell.focus();
  }
}
