// Opens the panel, and makes the document that holds the model. It keeps no state: Chrome ends a service worker that has had nothing to
// do for half a minute, and starts it again for the next event.
import type { Clicked, HostReady, NeedHost } from './protocol.ts';

const HOST = 'offscreen.html';

// A click gives the extension leave to read this tab (activeTab). That is why the panel is opened here, and not by Chrome.
chrome.action.onClicked.addListener(({ id: tabId }) => {
  if (tabId === undefined) return;
  // Each tab has a panel of its own. Chrome opens a panel only while it handles the click, so that nothing is awaited before.
  void chrome.sidePanel.setOptions({ tabId, path: `panel.html?tab=${tabId}`, enabled: true });
  void chrome.sidePanel.open({ tabId });
  // A panel that is open already stays as it is, and reads the page again. If there is none, nobody listens.
  chrome.runtime.sendMessage({ type: 'clicked', tab: String(tabId) } satisfies Clicked).catch(() => {});
});

// Without this, the panel would be offered on tabs that the extension may not read.
chrome.runtime.onInstalled.addListener(() => void chrome.sidePanel.setOptions({ enabled: false }));

chrome.tabs.onRemoved.addListener((tabId) => void chrome.storage.session.remove(`tab:${tabId}`));

/** Two panels may ask at the same time, and there can be only one such document. */
let making: Promise<HostReady> | undefined;

async function makeHost(): Promise<HostReady> {
  const url = chrome.runtime.getURL(HOST);
  const found = await chrome.runtime.getContexts({
    contextTypes: [chrome.runtime.ContextType.OFFSCREEN_DOCUMENT],
    documentUrls: [url],
  });
  if (found.length > 0) return { made: false };
  await chrome.offscreen.createDocument({
    url: HOST,
    reasons: [chrome.offscreen.Reason.WORKERS],
    justification: 'A worker of this document runs the language model on the GPU.',
  });
  return { made: true };
}

chrome.runtime.onMessage.addListener((message: NeedHost | Clicked, _sender, answer) => {
  if (message.type !== 'need-host') return false;
  making ??= makeHost().finally(() => {
    making = undefined;
  });
  making.then(answer, (error) => answer({ error: String(error) }));
  return true; // The answer comes later.
});
