import { SiftError } from 'sift-attention';
import { answer, loadModel, type Model, stopper } from './answer.ts';

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const text = element<HTMLTextAreaElement>('text');
const question = element<HTMLInputElement>('question');
const ask = element<HTMLButtonElement>('ask');
const stop = element<HTMLButtonElement>('stop');
const output = element('answer');
const status = element('status');

const query = new URLSearchParams(location.search);
const NAME = query.get('model') ?? 'onnx-community/Qwen3-0.6B-ONNX';
const DTYPE = query.get('dtype') ?? 'q4f16';
const MAX_NEW_TOKENS = Number(query.get('tokens') ?? 256);

let model: Model | undefined;

async function run(): Promise<void> {
  model ??= await loadModel(NAME, DTYPE, (progress) => {
    status.textContent = progress;
  });
  status.textContent = 'Reading…';
  stop.hidden = false;
  const { read, cut, millisecondsPerToken, sentence } = await answer(
    model,
    text.value,
    question.value,
    MAX_NEW_TOKENS,
    (piece) => {
      output.textContent += piece;
      status.textContent = 'Writing…';
    },
  );
  const length = `${read.toLocaleString('en')} tokens of the text${cut ? ', which is longer than the model can take' : ''}.`;
  const speed = millisecondsPerToken === null ? '' : ` ${millisecondsPerToken.toFixed(1)} ms a token.`;
  const { unsupported } = model.sift;
  const sift = unsupported ? `Without sift: ${unsupported.message}` : sentence;
  status.textContent = `${length}${speed} ${sift}`;
}

function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof SiftError)) return message;
  // A lost device takes the model with it. The next question loads it again.
  if (error.code === 'DEVICE_LOST') model = undefined;
  return `${error.code}: ${message}`;
}

element<HTMLFormElement>('form').onsubmit = async (event) => {
  event.preventDefault();
  ask.disabled = true;
  status.className = '';
  output.textContent = '';
  try {
    await run();
  } catch (error) {
    status.className = 'error';
    status.textContent = explain(error);
  }
  stop.hidden = true;
  ask.disabled = false;
};

stop.onclick = () => stopper.interrupt();

element<HTMLInputElement>('file').onchange = async ({ target }) => {
  const file = (target as HTMLInputElement).files?.[0];
  if (file) text.value = await file.text();
};
