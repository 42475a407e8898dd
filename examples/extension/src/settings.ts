// The settings: kept in the browser's storage, and shown in a form.
import { DEFAULTS, type Settings } from './protocol.ts';

export async function loadSettings(): Promise<Settings> {
  const { settings } = await chrome.storage.local.get('settings');
  return { ...DEFAULTS, ...(settings as Partial<Settings> | undefined) };
}

const field = <T extends HTMLInputElement | HTMLSelectElement>(form: HTMLFormElement, name: string) =>
  form.elements.namedItem(name) as T;

/** What the form says; null while a field is outside of what is allowed. */
function read(form: HTMLFormElement): Settings | null {
  const text = (name: string) => field(form, name).value.trim();
  const model = text('model') || text('hubId');
  if (!form.checkValidity() || !model) return null;
  return {
    model,
    dtype: text('dtype') as Settings['dtype'],
    quality: text('quality') as Settings['quality'],
    siftFrom: text('siftFrom') === '0' ? 0 : 'auto',
    contextLimit: Number(text('contextLimit')),
    answerLimit: Number(text('answerLimit')),
  };
}

function fill(form: HTMLFormElement, settings: Settings): void {
  const model = field<HTMLSelectElement>(form, 'model');
  const listed = [...model.options].some(({ value }) => value === settings.model);
  model.value = listed ? settings.model : '';
  field(form, 'hubId').value = listed ? '' : settings.model;
  for (const name of ['dtype', 'quality', 'siftFrom', 'contextLimit', 'answerLimit'] as const)
    field(form, name).value = String(settings[name]);
}

/** Shows the fields that matter to the model. The embedded one has weights of one kind. */
function showFields(form: HTMLFormElement): void {
  const { value } = field<HTMLSelectElement>(form, 'model');
  form.querySelector<HTMLElement>('#hub-id')!.hidden = value !== '';
  form.querySelector<HTMLElement>('#weights')!.hidden = value === 'embedded';
}

/** Shows what this device can do. */
async function showDevice(form: HTMLFormElement): Promise<void> {
  const note = form.querySelector('#settings-note')!;
  const adapter = await navigator.gpu?.requestAdapter();
  const f16 = field<HTMLSelectElement>(form, 'dtype').querySelector<HTMLOptionElement>('[value=q4f16]')!;
  f16.disabled = !adapter?.features.has('shader-f16');
  if (!adapter) {
    note.textContent = 'There is no WebGPU here, so that no model can run.';
    return;
  }
  const gigabytes = (adapter.limits.maxBufferSize / 2 ** 30).toFixed(1);
  const half = f16.disabled ? 'It cannot compute in f16.' : 'It computes in f16.';
  note.textContent = `This device holds up to ${gigabytes} GB in one buffer. ${half}`;
}

/**
 * Keeps the form, the storage and the caller in step, in all panels.
 *
 * @param onChange - is told the settings, also when another panel changes them
 */
export async function settingsForm(
  form: HTMLFormElement,
  onChange: (settings: Settings) => void,
): Promise<void> {
  const show = (settings: Settings) => {
    fill(form, settings);
    showFields(form);
    onChange(settings);
  };
  show(await loadSettings());
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('change', () => {
    showFields(form);
    form.reportValidity();
    const settings = read(form);
    if (settings) void chrome.storage.local.set({ settings });
  });
  chrome.storage.local.onChanged.addListener(({ settings }) => {
    if (settings?.newValue) show({ ...DEFAULTS, ...(settings.newValue as Partial<Settings>) });
  });
  await showDevice(form);
}
