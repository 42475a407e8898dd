// A page whose GPU device is lost.
import { expect, test } from 'vitest';
import { smallDecoder } from '../tools/models/small-decoder.ts';
import { pluginPage } from './plugin-page.ts';

const session = pluginPage('', { plain: smallDecoder(), other: smallDecoder({ seed: 2 }) });
const PROMPT = Array.from({ length: 24 }, (_, i) => 20 + ((i * 61) % 4000));

test('the report says so, and enabling is refused with DEVICE_LOST', async () => {
  const result = await session.page.evaluate(async (prompt) => {
    const { env, loadSmall, enableSift, generate, failure } = window.sift;
    const [a, b] = [await loadSmall('plain'), await loadSmall('other')];
    const sift = await enableSift(a, { siftFrom: 0 });
    await generate(a, prompt, 4);
    const device = (await (env.backends.onnx.webgpu as { device: Promise<GPUDevice> }).device)!;
    device.destroy();
    await device.lost;
    const report = await sift.report();
    const again = await failure(() => sift.enable());
    const other = await failure(() => enableSift(b));
    sift.disable();
    sift.dispose();
    return { report, again, other };
  }, PROMPT);
  expect(result.report.lost).toContain('destroyed');
  expect(result.report.enabled).toBe(false);
  expect(result.report.steps).toEqual({ sifted: 3, dense: 0 });
  expect([result.again.code, result.other.code]).toEqual(['DEVICE_LOST', 'DEVICE_LOST']);
});
