import { SiftError, type SiftErrorCode } from '../../../src/index.ts';
import { FileProblem } from './document.ts';
import { create } from './dom.ts';
import type { NoGpu } from './gpu.ts';

/** What the user can do about an error of the plugin. */
const HINTS: Partial<Record<SiftErrorCode, string>> = {
  INVALID_OPTION: 'Change the option and try again.',
  NO_WEBGPU: 'Open the page in a browser with WebGPU.',
  LATE_ENABLE: 'Reload the page: the plugin has to be enabled before the first generation.',
  UNSUPPORTED_MODEL:
    'Try another model or dtype: a decoder with grouped-query attention, exported for onnxruntime (onnx-community on the hub has many).',
  UNSUPPORTED_RUNTIME: 'Update sift-attention, or take a version of the runtime that it knows.',
  SELF_TEST_FAILED:
    'The plugin stays off on this device. Please report the message and the name of the graphics adapter.',
  OUT_OF_MEMORY: 'Try a shorter prompt or a smaller model.',
  DEVICE_LOST: 'Reload the page.',
};

function hintFor(error: unknown): string | undefined {
  if (error instanceof SiftError) return HINTS[error.code];
  if (error instanceof FileProblem) return 'Choose another file, or go on with the document that is open.';
  if (/out of memory|allocation|OOM/i.test(String(error)))
    return 'There is not enough memory. Try fewer tokens or a smaller model, or close other pages.';
  if (/device.*lost|lost.*device/i.test(String(error))) return HINTS.DEVICE_LOST;
  if (/not found|unauthorized|404|401/i.test(String(error)))
    return 'The hub does not have this model any more, or not in this form. Take another model.';
  if (/fetch|network|could not locate/i.test(String(error)))
    return 'A file did not arrive. Models of the hub need a network. The embedded model does not.';
  return undefined;
}

/** Shows an error with its code, its message and what to do. */
export function showProblem(box: HTMLElement, error: unknown): void {
  const code = error instanceof SiftError ? error.code : 'ERROR';
  const message = error instanceof Error ? error.message : String(error);
  const hint = hintFor(error);
  const close = create('button', { type: 'button', className: 'quiet', textContent: 'Dismiss' });
  close.addEventListener('click', () => hideProblem(box));
  box.replaceChildren(
    create('div', { className: 'problem-head' }, create('code', { textContent: code }), close),
    create('p', { textContent: message }),
    ...(hint ? [create('p', { className: 'hint', textContent: hint })] : []),
  );
  box.hidden = false;
  box.scrollIntoView({ block: 'nearest' });
}

export function hideProblem(box: HTMLElement): void {
  box.hidden = true;
  box.replaceChildren();
}

/** Says why nothing can run here, and what helps. */
export function showNoGpu(box: HTMLElement, { problem, remedies }: NoGpu): void {
  box.replaceChildren(
    create('p', { textContent: problem }),
    create('ul', {}, ...remedies.map((remedy) => create('li', { textContent: remedy }))),
    create('p', { className: 'hint', textContent: 'Below, a recorded session can be played.' }),
  );
  box.hidden = false;
}
