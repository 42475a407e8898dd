// Makes the recording that the page plays where there is no WebGPU: `npx tsx examples/demo/record.ts "MACHINE" TOKENS`. With SIFT_GPU=1 on a GPU.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openServedPage } from '../../lab/browser.ts';
import { ROOT } from '../../lab/root.ts';
import { recordedSession } from './recorded-session.ts';

const [machine, tokens = '368', path = join(ROOT, 'examples/demo/public/recorded.json')] =
  process.argv.slice(2);
if (!machine) throw new Error('Say what the machine is, as in: "Chrome 140 on an RTX 4060".');
const config = { configFile: join(ROOT, 'examples/demo/vite.config.ts'), server: { port: 0, open: false } };
const { page, close } = await openServedPage('/', config, () => {});
try {
  await page.waitForSelector('html[data-state=ready]', { timeout: 0 });
  const recording = await recordedSession(page, { tokens: Number(tokens), say: console.log });
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(path, `${JSON.stringify({ ...recording, machine, date })}\n`);
} finally {
  await close();
}
