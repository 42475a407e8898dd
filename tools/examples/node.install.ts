// The example for Node, in a copy of its folder that has the packed package installed. Its kernels take a software driver a while.
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Packed, pack } from '../package/packed.ts';
import { findSoftwareDriver } from '../setup/software-driver.ts';
import { copyExample } from './build.ts';

let packed: Packed;
beforeAll(() => {
  packed = pack();
});
afterAll(() => packed?.remove());

test('the kernel runs in Node, on Dawn', () => {
  const driver = process.env.VK_DRIVER_FILES ?? findSoftwareDriver();
  const env = { ...process.env, LENGTH: '2048', ...(driver ? { VK_DRIVER_FILES: driver } : {}) };
  const folder = copyExample('node-dawn', packed.folder);
  const stdout = execFileSync(process.execPath, ['main.js'], { cwd: folder, env, encoding: 'utf8' });
  const found = [...stdout.matchAll(/^(\w+): ([\d.]+)% of the V rows read, (\S+) from/gm)];
  const [exact, balanced] = found.map(
    ([, name, read, apart]) => [name, Number(read), Number(apart)] as const,
  );
  expect(exact).toEqual(['exact', 100, expect.closeTo(0, 4)]);
  expect(balanced![1]).toBeLessThan(70);
  expect(balanced![2]).toBeLessThan(0.2);
});
