// The panel's line to the document that holds the model.
import { type FromPanel, type HostReady, type NeedHost, PORT, type ToPanel } from './protocol.ts';

export interface Host {
  /** Connects, so that the state is known. */
  connect(): Promise<unknown>;
  /** Sends a message, and makes the document first if the browser has closed it. */
  send(message: FromPanel): Promise<void>;
}

/**
 * The document that holds the model, as one tab's panel sees it.
 *
 * @param tab - whose questions these are
 * @param onState - is told the state of the model, and the tab's latest exchange
 * @param onLost - the document is gone, and the model with it
 */
export function hostOf(tab: string, onState: (state: ToPanel) => void, onLost: () => void): Host {
  let line: Promise<chrome.runtime.Port> | undefined;

  async function open(): Promise<chrome.runtime.Port> {
    // The service worker may be asleep. The message wakes it.
    const answer: HostReady | { error: string } = await chrome.runtime.sendMessage({
      type: 'need-host',
    } satisfies NeedHost);
    if ('error' in answer) throw new Error(answer.error);
    const made = chrome.runtime.connect({ name: PORT + tab });
    made.onMessage.addListener(onState);
    made.onDisconnect.addListener(() => {
      line = undefined;
      onLost();
    });
    return made;
  }

  function connect(): Promise<chrome.runtime.Port> {
    if (line) return line;
    const opening = open();
    opening.catch(() => {
      if (line === opening) line = undefined;
    });
    line = opening;
    return opening;
  }

  return { connect, send: async (message) => (await connect()).postMessage(message) };
}
