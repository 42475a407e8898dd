// Finds a Chromium that runs WebGPU. Plain Node: it must run before anything is installed.
import { existsSync, readdirSync } from 'node:fs';
import { homedir, platform } from 'node:os';
import { join } from 'node:path';

const SYSTEM = {
  linux: [
    '/usr/bin/google-chrome-stable',
    '/usr/bin/google-chrome',
    '/opt/google/chrome/chrome',
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/lib/chromium/chromium',
  ],
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ],
  win32: [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA]
    .filter(Boolean)
    .map((root) => join(root, 'Google/Chrome/Application/chrome.exe')),
};

/** Where Playwright keeps the browsers that it downloads. */
function playwrightRoots() {
  const home = homedir();
  const standard = {
    linux: join(home, '.cache/ms-playwright'),
    darwin: join(home, 'Library/Caches/ms-playwright'),
    win32: join(process.env.LOCALAPPDATA ?? home, 'ms-playwright'),
  };
  return [process.env.PLAYWRIGHT_BROWSERS_PATH, standard[platform()]].filter(
    (root) => root && existsSync(root),
  );
}

function playwrightBrowsers() {
  const inside = [
    'chrome-linux64/chrome',
    'chrome-linux/chrome',
    'chrome-mac-arm64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing',
    'chrome-mac-x64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing',
    'chrome-mac/Chromium.app/Contents/MacOS/Chromium',
    'chrome-win64/chrome.exe',
    'chrome-win/chrome.exe',
  ];
  return playwrightRoots().flatMap((root) =>
    readdirSync(root)
      .filter((name) => name.startsWith('chromium-'))
      .sort()
      .reverse()
      .flatMap((name) => inside.map((path) => join(root, name, path))),
  );
}

/** The path of a browser, or undefined. `CHROME_PATH` wins, then a system browser, then Playwright's. */
export function findBrowser() {
  const { CHROME_PATH } = process.env;
  if (CHROME_PATH) {
    if (!existsSync(CHROME_PATH)) throw new Error(`CHROME_PATH names no file: ${CHROME_PATH}`);
    return CHROME_PATH;
  }
  return [...(SYSTEM[platform()] ?? []), ...playwrightBrowsers()].find((path) => existsSync(path));
}

/** Flags for tests: quiet, and WebGPU on the software adapter unless `SIFT_GPU=1` asks for the real one. */
export function browserArgs() {
  const quiet = [
    '--no-sandbox',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--enable-unsafe-webgpu',
  ];
  return process.env.SIFT_GPU === '1'
    ? quiet
    : [...quiet, '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];
}
