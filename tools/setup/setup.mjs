// Makes a fresh clone ready: dependencies and a browser. Plain Node, so that it runs before anything is installed.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { platform } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findBrowser } from './browser.mjs';
import { findFirefox } from './firefox.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const npm = platform() === 'win32' ? 'npm.cmd' : 'npm';

function run(command, args, options = {}) {
  console.log(`> ${command} ${args.join(' ')}`);
  execFileSync(command, args, { cwd: root, stdio: 'inherit', shell: platform() === 'win32', ...options });
}

/** Whether a command ends well; its failure is not an error of ours. */
function tryRun(command, args, options) {
  try {
    run(command, args, options);
    return true;
  } catch {
    return false;
  }
}

/** Installs what package-lock.json says, unless it is installed. */
function installDependencies() {
  const stamp = join(root, 'node_modules/.sift-lock');
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  // onnxruntime-node comes with transformers.js; its binary is not needed, and its install script downloads it.
  // Not `npm ci`: it refuses a lock file that lacks optional packages for other platforms.
  run(npm, ['install', '--no-save', '--no-audit', '--no-fund'], {
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, lock);
}

/** Installs Debian's packages; whether that went well. */
function aptInstall(...packages) {
  if (!existsSync('/usr/bin/apt-get')) return false;
  const sudo = process.getuid?.() === 0 ? [] : ['sudo'];
  const apt = (...args) => tryRun([...sudo, 'apt-get'][0], [...sudo, 'apt-get', ...args].slice(1));
  apt('update', '-qq');
  return apt('install', '-y', '-qq', ...packages);
}

/** A system Chrome or Chromium, else Playwright's, else Debian's package. */
function installBrowser() {
  if (findBrowser()) return;
  if (tryRun('npx', ['playwright', 'install', 'chromium']) && findBrowser()) return;
  if (aptInstall('chromium') && findBrowser()) return;
  console.error(
    'No Chrome or Chromium was found, and none could be installed. Install one, or set CHROME_PATH.',
  );
  process.exit(1);
}

/** Firefox, and the loader of the Vulkan driver that it needs. The tests that want it are skipped where it cannot be had. */
function installFirefox() {
  if (findFirefox()) return;
  if (!aptInstall('firefox-esr', 'libvulkan1'))
    console.warn('No Firefox was found, and none could be installed.');
}

installDependencies();
if (!process.argv.includes('--no-browser')) installBrowser();
if (process.argv.includes('--firefox')) installFirefox();
