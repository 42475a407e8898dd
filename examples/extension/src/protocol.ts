// What the panels, the service worker and the document that holds the model say to each other.

/** What the user chose. It is kept in `chrome.storage.local`. */
export interface Settings {
  /** `'embedded'`, or the id of a model on the hub. */
  readonly model: string;
  readonly dtype: 'q4' | 'q4f16';
  /** A preset of the plugin; `'off'`: the runtime as it is. */
  readonly quality: 'off' | 'exact' | 'high' | 'balanced' | 'fast';
  readonly siftFrom: 'auto' | 0;
  /** Tokens of a page that are read, at most. A longer page takes more memory on the GPU. */
  readonly contextLimit: number;
  readonly answerLimit: number;
}

export const DEFAULTS: Settings = {
  model: 'embedded',
  dtype: 'q4',
  quality: 'balanced',
  siftFrom: 'auto',
  contextLimit: 4096,
  answerLimit: 256,
};

/** A page as the user reads it, without menus and advertisements. */
export interface PageText {
  readonly title: string;
  readonly text: string;
}

/** `queued`: another tab's question is being answered. `waiting`: for the model to be loaded. */
export type Status = 'queued' | 'waiting' | 'reading' | 'answering' | 'done' | 'stopped' | 'failed';

const OPEN: readonly Status[] = ['queued', 'waiting', 'reading', 'answering'];

/** Whether more of an exchange is still to come. */
export const isOpen = ({ status }: Exchange): boolean => OPEN.includes(status);

/** A question and its answer. */
export interface Exchange {
  readonly id: string;
  readonly question: string;
  answer: string;
  status: Status;
  /** Why it failed; null if it did not. */
  error: string | null;
  /** Tokens of the whole prompt, and whether the page was longer than what was read. */
  promptTokens: number;
  cut: boolean;
  tokens: number;
  /** Milliseconds until the first token, and the median of the later ones; null while there is none. */
  firstToken: number | null;
  perToken: number | null;
  /** Share of the V rows that sifted steps read; null if no step was sifted. */
  read: number | null;
  steps: { sifted: number; dense: number } | null;
}

export type ModelState =
  | { readonly phase: 'none' }
  | { readonly phase: 'loading'; readonly name: string; readonly fraction: number | null }
  | { readonly phase: 'enabling'; readonly name: string; readonly fraction: number | null }
  | {
      readonly phase: 'ready';
      readonly name: string;
      readonly adapter: string;
      readonly quality: Settings['quality'];
      /** Why sift is off although the preset asks for it; null if it is on, or the preset is off. */
      readonly siftOff: string | null;
    };

export interface Ask {
  readonly type: 'ask';
  readonly id: string;
  readonly page: PageText;
  readonly question: string;
  readonly settings: Settings;
}

export type FromPanel = Ask | { readonly type: 'stop' };

/** What a panel is told: the state of the model, and the latest exchange of its tab. */
export interface ToPanel {
  readonly model: ModelState;
  readonly exchange: Exchange | null;
}

export type ToWorker =
  | { readonly type: 'ask'; readonly ask: Ask }
  | { readonly type: 'stop'; readonly id: string };

export type FromWorker =
  | { readonly type: 'model'; readonly model: ModelState }
  | { readonly type: 'exchange'; readonly id: string; readonly change: Partial<Exchange> };

/** The name of the ports between a panel and the model. The id of the tab follows it. */
export const PORT = 'tab:';

/** Asks the service worker for the document that holds the model. */
export interface NeedHost {
  readonly type: 'need-host';
}

/** Tells the panel of a tab that the icon was clicked again. The click gives leave to read the tab's page. */
export interface Clicked {
  readonly type: 'clicked';
  readonly tab: string;
}

/** The service worker's answer. `made`: the document was not there. */
export interface HostReady {
  readonly made: boolean;
}
