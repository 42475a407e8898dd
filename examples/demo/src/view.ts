import type { Comparison, InspectedStep, SiftReport, SiftSummary } from '../../../src/index.ts';
import { Chart } from './chart.ts';
import { showDetails } from './details.ts';
import { byId, create } from './dom.ts';
import { bytes, count, percent } from './format.ts';
import { Strip } from './strip.ts';

/** What the page shows, whether a model runs or a recording is played. */
export class View {
  readonly chart = new Chart(byId('chart', HTMLElement));
  private readonly strip: Strip;
  /** The tokens of the context as text. */
  private tokens: string[] = [];
  private times: number[] = [];
  private readonly answer = byId('answer', HTMLElement);
  private readonly verdict = byId('verdict', HTMLElement);
  private readonly layer = byId('layer', HTMLSelectElement);
  private readonly head = byId('head', HTMLSelectElement);

  constructor() {
    this.strip = new Strip(byId('strip', HTMLCanvasElement), (from, until, share) =>
      this.snippet(from, until, share),
    );
    const choose = () => {
      const number = ({ value }: HTMLSelectElement) => (value === '' ? null : Number(value));
      this.strip.choose({ layer: number(this.layer), head: number(this.head) });
      this.totals();
    };
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.strip.draw());
    this.layer.addEventListener('change', choose);
    this.head.addEventListener('change', choose);
  }

  /** Another answer begins. */
  begin(tokens: string[]): void {
    this.tokens = tokens;
    this.times = [];
    this.answer.textContent = '';
    this.verdict.textContent = '';
    byId('ms-sift', HTMLElement).textContent = '–';
    byId('ms-stock', HTMLElement).textContent = '–';
    byId('ratio', HTMLElement).textContent =
      'Showing which rows are read takes time of its own. “Compare with stock” decodes the same prompt both ways, without it.';
    byId('strip-step', HTMLElement).textContent = `${count(tokens.length)} tokens`;
    this.strip.clear(tokens.length);
  }

  /** @param milliseconds that the newest token took; NaN if that is not known */
  say(text: string, tokens: number, milliseconds: number): void {
    this.answer.textContent = text;
    if (Number.isNaN(milliseconds)) return;
    this.times.push(milliseconds);
    byId('ms-sift', HTMLElement).textContent = time(median(this.times));
    this.chart.add({ context: this.tokens.length + tokens, side: 'sift', milliseconds });
  }

  /** Whether the answer has what it should. */
  judge(answer: string | undefined): void {
    if (answer === undefined) return;
    const right = this.answer.textContent!.includes(answer);
    this.verdict.textContent = right ? '✓ the code that is in the document' : `✗ the document says ${answer}`;
  }

  step(step: InspectedStep): void {
    this.options(step);
    this.strip.show(step);
    byId('strip-step', HTMLElement).textContent = `${count(step.length)} tokens, step ${step.step}`;
    this.totals();
  }

  compared({ stock, sift, firstDifference, divergence, promptTokens }: Comparison): void {
    const context = promptTokens ?? this.tokens.length;
    const [before, after] = [stock.millisecondsPerToken, sift.millisecondsPerToken];
    if (before === null || after === null) return;
    byId('ms-sift', HTMLElement).textContent = time(after);
    byId('ms-stock', HTMLElement).textContent = time(before);
    const faster = before >= after;
    const ratio = faster ? before / after : after / before;
    const same =
      firstDifference === null
        ? 'The answers are the same'
        : `The answers differ from token ${firstDifference + 1} on`;
    const kl = divergence ? `; mean KL ${divergence.mean.toExponential(1)} nats a token` : '';
    byId('ratio', HTMLElement).textContent =
      `${ratio.toFixed(2)} times ${faster ? 'faster' : 'slower'} than stock here, median of ${stock.tokens.length - 1} tokens. ${same}${kl}.`;
    this.chart.add(
      { context, side: 'stock', milliseconds: before },
      { context, side: 'sift', milliseconds: after },
    );
  }

  details(report: SiftReport, summary: SiftSummary): void {
    showDetails(report, summary);
  }

  /** The page has other colours now. */
  recolour(): void {
    this.chart.build();
    this.strip.draw();
  }

  private totals(): void {
    const { read, dense, share } = this.strip.total;
    byId('rows-read', HTMLElement).textContent = percent(share);
    byId('bytes-read', HTMLElement).textContent = bytes(read);
    byId('bytes-saved', HTMLElement).textContent = bytes(dense - read);
  }

  /** The layers and heads that can be chosen: those of the model. */
  private options({ layers }: InspectedStep): void {
    const fill = (select: HTMLSelectElement, numbers: number[]) => {
      if (select.options.length === numbers.length + 1) return;
      const all = create('option', { value: '', textContent: 'all' });
      select.replaceChildren(
        all,
        ...numbers.map((n) => create('option', { value: String(n), textContent: String(n) })),
      );
    };
    fill(
      this.layer,
      layers.map(({ layer }) => layer),
    );
    fill(this.head, [...new Set(layers.flatMap(({ heads }) => heads.map(({ kvHead }) => kvHead)))]);
  }

  private snippet(from: number, until: number, share: number): void {
    const around = (start: number, end: number) => this.tokens.slice(Math.max(0, start), end).join('');
    byId('snippet', HTMLElement).replaceChildren(
      `Token ${count(from + 1)}, read by ${percent(share, 0)}: …${around(from - 12, from)}`,
      create('mark', { textContent: around(from, until) || '(new)' }),
      `${around(until, until + 12)}…`,
    );
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const time = (milliseconds: number): string =>
  milliseconds < 100 ? `${milliseconds.toFixed(1)} ms` : `${count(milliseconds)} ms`;
