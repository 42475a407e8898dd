// Finds the software driver for Vulkan that comes with Chromium. Dawn in Node runs on it where there is no GPU.
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findBrowser } from './browser.mjs';

/** The path of the driver's description, as `VK_DRIVER_FILES` takes it, or undefined. */
export function findSoftwareDriver(): string | undefined {
  const browser = findBrowser();
  const folders = [
    ...(browser ? [dirname(realpathSync(browser))] : []),
    // Here the command is a script, and the browser elsewhere.
    ...['/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome'],
  ];
  return folders.map((folder) => join(folder, 'vk_swiftshader_icd.json')).find((path) => existsSync(path));
}
