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

/** Flags that every browser of ours gets: quiet, and WebGPU also where Chromium would not offer it. */
const QUIET = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--enable-unsafe-webgpu',
];

/**
 * A headless Chromium on Linux takes the software adapter, and says nothing, unless it is told to draw with Vulkan and without a window.
 * Dawn has `shader-f16` on NVIDIA's cards only if it is asked for.
 */
const LINUX_GPU = [
  '--enable-features=Vulkan',
  '--use-angle=vulkan',
  '--disable-vulkan-surface',
  '--ignore-gpu-blocklist',
  '--enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia',
];

/** Flags that Playwright gives a headless Chromium, and which keep it from the GPU. */
const PLAYWRIGHT_SOFTWARE = [
  '--enable-unsafe-swiftshader',
  '--disable-gpu',
  '--use-angle=swiftshader-webgl',
  '--use-gl=angle',
];

function adapterArgs(env, system) {
  if (env.SIFT_GPU !== '1') return ['--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];
  return system === 'linux' ? LINUX_GPU : [];
}

/**
 * What Playwright is told to start the browser with. WebGPU runs on the software adapter, unless `SIFT_GPU=1` asks for the GPU.
 * `CHROME_ARGS` has more flags, with spaces between them. `CHROME_LIBS` is a folder of shared libraries for a browser that was copied
 * from another machine; nothing but the browser gets them.
 */
export function launchOptions(env = process.env, system = platform()) {
  const { CHROME_ARGS = '', CHROME_LIBS } = env;
  const executablePath = findBrowser();
  return {
    ...(executablePath && { executablePath }),
    args: [...QUIET, ...adapterArgs(env, system), ...CHROME_ARGS.split(/\s+/).filter(Boolean)],
    ...(env.SIFT_GPU === '1' && system === 'linux' && { ignoreDefaultArgs: PLAYWRIGHT_SOFTWARE }),
    ...(CHROME_LIBS && { env: { ...env, LD_LIBRARY_PATH: CHROME_LIBS } }),
  };
}
