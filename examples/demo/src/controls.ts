import { byId, create } from './dom.ts';
import { count } from './format.ts';
import type { Dtype, Loaded, ModelChoice, SiftChoice } from './model.ts';
import { DemoError } from './problem.ts';
import { buildPrompt, type CountTokens, EXAMPLES, estimateTokens, sliderTokens } from './prompt.ts';

const HUB_DTYPES: Dtype[] = ['q4f16', 'q4', 'fp16', 'fp32'];

/** The form on the left: what to run. */
export class Controls {
  readonly form = byId('controls', HTMLFormElement);
  private readonly hubId = byId('hub-id', HTMLInputElement);
  private readonly dtype = byId('dtype', HTMLSelectElement);
  private readonly chatBox = byId('chat', HTMLInputElement);
  private readonly example = byId('example', HTMLSelectElement);
  private readonly length = byId('length', HTMLInputElement);
  private readonly text = byId('prompt', HTMLTextAreaElement);
  private readonly mode = byId('mode', HTMLSelectElement);
  private readonly tau = byId('tau', HTMLInputElement);
  private readonly warmup = byId('warmup', HTMLInputElement);
  private readonly tokens = byId('new-tokens', HTMLInputElement);
  private countTokens: CountTokens = estimateTokens;
  private exact = false;
  private planted: string | null = null;
  /** The text is as an example made it, not edited by hand. */
  private untouched = true;

  constructor() {
    for (const [value, { label }] of Object.entries(EXAMPLES)) {
      this.example.append(create('option', { value, textContent: label }));
    }
    this.length.value = '11';
    this.form.addEventListener('change', ({ target }) => {
      if ((target as HTMLInputElement).name === 'source') this.sourceChanged();
    });
    this.example.addEventListener('change', () => this.fillPrompt());
    this.length.addEventListener('input', () => this.fillPrompt());
    this.tau.addEventListener('input', () => this.showTau());
    this.mode.addEventListener('change', () => this.methodChanged());
    this.text.addEventListener('input', () => {
      this.untouched = false;
      this.example.value = 'own';
      this.plantedChanged(null);
      this.showCount();
    });
    this.sourceChanged();
    this.methodChanged();
    this.showTau();
    this.fillPrompt();
  }

  private get fromHub(): boolean {
    return this.form.querySelector<HTMLInputElement>('[name=source]:checked')?.value === 'hub';
  }

  /** Settings that a software adapter gets through in a minute or two. */
  useSmallDefaults(): void {
    this.length.value = '8';
    this.warmup.value = '16';
    this.tokens.value = '48';
    this.fillPrompt();
  }

  get model(): ModelChoice {
    const hub = this.fromHub;
    const id = this.hubId.value.trim();
    if (hub && !/^[\w.-]+\/[\w.-]+$/.test(id)) {
      throw new DemoError(
        'MODEL_ID',
        `"${id}" is not a model id of the hub.`,
        'It looks like owner/name, such as onnx-community/Qwen2.5-0.5B-Instruct.',
      );
    }
    return { hubId: hub ? id : null, dtype: this.dtype.value as Dtype };
  }

  get sift(): SiftChoice {
    const method = this.mode.value as SiftChoice['method'];
    const measured = byId('measured', HTMLInputElement).checked;
    if (method !== 'learned' && method !== 'paper') return { method, measured };
    return { method, measured, tau: Number(this.tau.value), warmup: Number(this.warmup.value) };
  }

  get newTokens(): number {
    return Number(this.tokens.value);
  }

  get goOn(): boolean {
    return byId('go-on', HTMLInputElement).checked;
  }

  get live(): boolean {
    return byId('live', HTMLInputElement).checked;
  }

  /** The code that was planted in the text; null if there is none. */
  get answer(): string | null {
    return this.planted;
  }

  /** The prompt, which must fit into the model's context together with the answer. */
  promptFor(loaded: Loaded): { prompt: string; chat: boolean } {
    const prompt = this.text.value;
    const tokens = this.countTokens(prompt);
    if (tokens === 0)
      throw new DemoError('NO_PROMPT', 'The text is empty.', 'Write something or take an example.');
    if (tokens + this.newTokens > loaded.context) {
      throw new DemoError(
        'PROMPT_TOO_LONG',
        `${count(tokens)} tokens of text and ${count(this.newTokens)} new ones pass this model's context of ${count(loaded.context)}.`,
        'Take a shorter text or fewer new tokens.',
      );
    }
    return { prompt, chat: loaded.chat && loaded.choice.hubId !== null && this.chatBox.checked };
  }

  /** Counts with the tokenizer of the loaded model from now on. */
  modelLoaded({ generator }: Loaded): void {
    this.countTokens = (text) => generator.tokenizer.encode(text).length;
    this.exact = true;
    if (this.untouched) this.fillPrompt();
    else this.showCount();
  }

  lock(locked: boolean): void {
    for (const set of this.form.querySelectorAll('fieldset')) set.disabled = locked;
    byId('go', HTMLButtonElement).disabled = locked;
  }

  private sourceChanged(): void {
    const hub = this.fromHub;
    byId('hub', HTMLElement).hidden = !hub;
    const dtypes: Dtype[] = hub ? HUB_DTYPES : ['q4'];
    this.dtype.replaceChildren(...dtypes.map((value) => create('option', { value, textContent: value })));
  }

  private methodChanged(): void {
    const learns = 'tau' in this.sift;
    byId('tau-field', HTMLElement).hidden = !learns;
    byId('warmup-field', HTMLElement).hidden = !learns;
  }

  private showTau(): void {
    const tau = Number(this.tau.value);
    byId('tau-out', HTMLOutputElement).value = tau === 0 ? '0: every row is kept' : `${tau}`;
  }

  private fillPrompt(): void {
    const name = this.example.value;
    byId('length-field', HTMLElement).hidden = name === 'own';
    const tokens = sliderTokens(Number(this.length.value));
    byId('length-out', HTMLOutputElement).value = `${count(tokens)} tokens`;
    this.length.setAttribute('aria-valuetext', `${count(tokens)} tokens`);
    if (name === 'own') return;
    const room = 8192 - this.newTokens - 16;
    const { text, answer } = buildPrompt(name, Math.min(tokens, room), this.countTokens);
    this.text.value = text;
    this.untouched = true;
    this.text.scrollTop = this.text.scrollHeight;
    this.plantedChanged(answer);
    this.showCount();
  }

  private plantedChanged(answer: string | null): void {
    this.planted = answer;
    const note = byId('answer', HTMLElement);
    note.hidden = answer === null;
    note.textContent = `The right answer is ${answer}. It stands somewhere in the text above.`;
  }

  private showCount(): void {
    const tokens = this.countTokens(this.text.value);
    byId('prompt-count', HTMLElement).textContent = `${this.exact ? '' : 'about '}${count(tokens)} tokens`;
  }
}
