import { SiftError, type SiftErrorCode } from '../../../src/index.ts';
import { create } from './dom.ts';

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

/** A problem that the page itself finds. */
export class DemoError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

function hintFor(error: unknown): string | undefined {
  if (error instanceof DemoError) return error.hint;
  if (error instanceof SiftError) return HINTS[error.code];
  if (/fetch|network/i.test(String(error)))
    return 'A file did not arrive. Models of the hub need a network connection; check the model id, too.';
  if (/not found|unauthorized|404|401/i.test(String(error)))
    return 'Check the model id and whether the model has ONNX weights of this dtype (folder onnx/ on the hub).';
  return undefined;
}

/** Shows an error with its code, its message and what to do. */
export function showProblem(box: HTMLElement, error: unknown): void {
  const code = error instanceof SiftError || error instanceof DemoError ? error.code : 'ERROR';
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
