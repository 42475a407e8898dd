// Makes the recording that the page plays where there is no WebGPU: `npx tsx examples/demo/record.ts "MACHINE" TOKENS`. With SIFT_GPU=1 on a GPU.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openServedPage } from '../../lab/browser.ts';
import { ROOT } from '../../lab/root.ts';
import type { Recording } from './src/recording.ts';

const [machine, tokens = '368'] = process.argv.slice(2);
if (!machine) throw new Error('Say what the machine is, as in: "Chrome 140 on an RTX 4060".');
const config = { configFile: join(ROOT, 'examples/demo/vite.config.ts'), server: { port: 0, open: false } };
const { page, close } = await openServedPage('/', config, () => {});
const state = (wanted: string) => page.waitForSelector(`html[data-state=${wanted}]`, { timeout: 0 });
await state('ready');
await page.getByRole('slider', { name: 'Tokens to read' }).fill(String(Math.log2(Number(tokens))));
for (const button of ['Ask', 'Compare with stock']) {
  await page.getByRole('button', { name: button }).click();
  await state('done');
}
const text = await page.evaluate(() => (window as unknown as { recording(): string }).recording());
const date = new Date().toISOString().slice(0, 10);
const recording: Recording = { ...JSON.parse(text), machine, date };
writeFileSync(join(ROOT, 'examples/demo/public/recorded.json'), `${JSON.stringify(recording)}\n`);
await close();
