// Finds a Firefox, and what it is started with so that it runs WebGPU. Plain Node, as browser.mjs.
import { existsSync } from 'node:fs';
import { platform } from 'node:os';

const SYSTEM = {
  linux: ['/usr/bin/firefox-esr', '/usr/bin/firefox', '/snap/bin/firefox'],
  darwin: ['/Applications/Firefox.app/Contents/MacOS/firefox'],
  win32: ['C:/Program Files/Mozilla Firefox/firefox.exe'],
};

/** The driver of Vulkan on the processor that Debian's Chromium brings: Firefox has none of its own. */
const SOFTWARE_DRIVER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** The path of a Firefox, or undefined. `FIREFOX_PATH` wins. */
export function findFirefox() {
  const { FIREFOX_PATH } = process.env;
  if (FIREFOX_PATH) {
    if (!existsSync(FIREFOX_PATH)) throw new Error(`FIREFOX_PATH names no file: ${FIREFOX_PATH}`);
    return FIREFOX_PATH;
  }
  return (SYSTEM[platform()] ?? []).find((path) => existsSync(path));
}

/**
 * What Puppeteer is told to start Firefox with. On Linux, WebGPU has to be asked for. Without `SIFT_GPU=1` it runs on the software driver
 * if there is one.
 */
export function firefoxOptions(env = process.env) {
  const software = env.SIFT_GPU !== '1' && existsSync(SOFTWARE_DRIVER);
  return {
    browser: 'firefox',
    executablePath: findFirefox(),
    headless: true,
    extraPrefsFirefox: {
      'dom.webgpu.enabled': true,
      'dom.webgpu.workers.enabled': true,
      'gfx.webgpu.ignore-blocklist': true,
    },
    env: { ...env, ...(software && { VK_ICD_FILENAMES: SOFTWARE_DRIVER, VK_DRIVER_FILES: SOFTWARE_DRIVER }) },
  };
}
