import { expect, test } from 'vitest';
import { launchOptions } from './browser.mjs';

test('without a GPU the software adapter is asked for by name', () => {
  const { args, ignoreDefaultArgs, env } = launchOptions({}, 'linux');
  expect(args).toContain('--use-webgpu-adapter=swiftshader');
  expect(ignoreDefaultArgs).toBeUndefined();
  expect(env).toBeUndefined();
});

test('on Linux the GPU needs Vulkan, half precision, and none of the flags that Playwright turns it off with', () => {
  const { args, ignoreDefaultArgs } = launchOptions({ SIFT_GPU: '1' }, 'linux');
  expect(args.join(' ')).not.toContain('swiftshader');
  expect(args).toContain('--use-angle=vulkan');
  expect(args.join(' ')).toContain('vulkan_enable_f16_on_nvidia');
  expect(ignoreDefaultArgs).toContain('--disable-gpu');
});

test('elsewhere the browser finds the GPU by itself', () => {
  const { args, ignoreDefaultArgs } = launchOptions({ SIFT_GPU: '1' }, 'darwin');
  expect(args.filter((arg) => /vulkan|swiftshader/i.test(arg))).toEqual([]);
  expect(ignoreDefaultArgs).toBeUndefined();
});

test('CHROME_ARGS and CHROME_LIBS', () => {
  const { args, env } = launchOptions({ CHROME_ARGS: ' --a=1  --b ', CHROME_LIBS: '/libs', HOME: '/h' });
  expect(args.slice(-2)).toEqual(['--a=1', '--b']);
  expect(env).toMatchObject({ LD_LIBRARY_PATH: '/libs', HOME: '/h' });
});
