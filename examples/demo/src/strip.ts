import type { InspectedStep } from '../../../src/index.ts';
import { bytes, percent } from './format.ts';

/** A cell is at least so many CSS pixels wide and high. */
const LEAST_CELL = 5;
const HEIGHT = 120;

/** Which layers and heads are shown; null: all. */
export interface Shown {
  layer: number | null;
  head: number | null;
}

/** What was read of what is shown. */
export interface Totals {
  share: number;
  read: number;
  dense: number;
}

/**
 * One cell for each token of the context; where there are more tokens than cells, a cell has several. Its brightness is the share of what is
 * shown that read the token's V row.
 */
export class Strip {
  private step: InspectedStep | undefined;
  private shown: Shown = { layer: null, head: null };
  /** By token: the share of the layers and heads that read it. */
  private shares = new Float32Array(0);
  private columns = 1;
  private perCell = 1;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly onToken: (token: number, until: number, share: number) => void,
  ) {
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener('pointermove', (event) => this.point(event.offsetX, event.offsetY));
    canvas.addEventListener('keydown', (event) => this.key(event));
  }

  private cursor = 0;

  get total(): Totals {
    let [read, dense] = [0, 0];
    for (const { layer, heads, keys, valuesDense } of this.step?.layers ?? []) {
      if (this.shown.layer !== null && layer !== this.shown.layer) continue;
      const row = valuesDense / (heads.length * keys);
      for (const { kvHead, rows } of heads) {
        if (this.shown.head !== null && kvHead !== this.shown.head) continue;
        read += rows * row;
        dense += keys * row;
      }
    }
    return { read, dense, share: dense > 0 ? read / dense : 1 };
  }

  /** Forgets what was read: another prompt. */
  clear(tokens: number): void {
    this.step = undefined;
    this.shares = new Float32Array(tokens);
    this.draw();
  }

  show(step: InspectedStep): void {
    this.step = step;
    this.update();
  }

  choose(shown: Shown): void {
    this.shown = shown;
    this.update();
  }

  private update(): void {
    const { step, shown } = this;
    if (!step) return;
    const shares = new Float32Array(step.length);
    let shownHeads = 0;
    for (const { layer, firstKey, heads } of step.layers) {
      if (shown.layer !== null && layer !== shown.layer) continue;
      for (const { kvHead, bits } of heads) {
        if (shown.head !== null && kvHead !== shown.head) continue;
        shownHeads++;
        // Only the bits that are set: of 39,000 keys in 128 heads, most are not, and a step has little time.
        for (let word = 0; word < bits.length; word++)
          for (let rest = bits[word]!; rest !== 0; rest &= rest - 1)
            shares[firstKey + 32 * word + 31 - Math.clz32(rest & -rest)]!++;
      }
    }
    this.shares = shares.map((sum) => sum / Math.max(1, shownHeads));
    const { read, dense, share } = this.total;
    this.canvas.ariaLabel = `${step.length} tokens, of which ${percent(share)} of the V rows were read at step ${step.step}: ${bytes(read)} of ${bytes(dense)}.`;
    this.canvas.dataset.step = String(step.step);
    this.draw();
  }

  /** Draws at the size that the canvas has on the screen. */
  draw(): void {
    const { canvas, shares } = this;
    const context = canvas.getContext('2d')!;
    const scale = devicePixelRatio;
    const width = Math.max(1, canvas.clientWidth);
    canvas.width = width * scale;
    canvas.height = HEIGHT * scale;
    context.scale(scale, scale);
    const most = Math.floor(width / LEAST_CELL) * Math.floor(HEIGHT / LEAST_CELL);
    this.perCell = Math.max(1, Math.ceil(shares.length / most));
    const cells = Math.ceil(shares.length / this.perCell);
    const rows = Math.max(
      1,
      Math.min(Math.floor(HEIGHT / LEAST_CELL), Math.round(Math.sqrt((cells * HEIGHT) / width))),
    );
    this.columns = Math.max(1, Math.ceil(cells / rows));
    const [w, h] = [width / this.columns, HEIGHT / Math.max(1, Math.ceil(cells / this.columns))];
    const style = getComputedStyle(canvas);
    const [low, high] = [style.borderTopColor, style.color];
    for (let cell = 0; cell < cells; cell++) {
      const x = (cell % this.columns) * w;
      const y = Math.floor(cell / this.columns) * h;
      context.globalAlpha = 1;
      context.fillStyle = low;
      context.fillRect(x, y, Math.max(1, w - 1), Math.max(1, h - 1));
      // The eye tells shades of little light apart better than those of much.
      context.globalAlpha = Math.sqrt(this.shareOf(cell));
      context.fillStyle = high;
      context.fillRect(x, y, Math.max(1, w - 1), Math.max(1, h - 1));
    }
  }

  private shareOf(cell: number): number {
    const own = this.shares.subarray(cell * this.perCell, (cell + 1) * this.perCell);
    return own.reduce((sum, share) => sum + share, 0) / Math.max(1, own.length);
  }

  private point(x: number, y: number): void {
    const cells = Math.ceil(this.shares.length / this.perCell);
    const rows = Math.max(1, Math.ceil(cells / this.columns));
    const column = Math.floor((x / Math.max(1, this.canvas.clientWidth)) * this.columns);
    this.at(Math.floor((y / HEIGHT) * rows) * this.columns + column);
  }

  private key(event: KeyboardEvent): void {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    this.at(this.cursor + by);
  }

  private at(cell: number): void {
    const cells = Math.ceil(this.shares.length / this.perCell);
    if (cells === 0) return;
    this.cursor = Math.min(cells - 1, Math.max(0, cell));
    const from = this.cursor * this.perCell;
    this.onToken(from, Math.min(this.shares.length, from + this.perCell), this.shareOf(this.cursor));
  }
}
