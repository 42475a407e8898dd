import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { strippedWgsl } from './tools/package/strip-wgsl.ts';
import { launchOptions } from './tools/setup/browser.mjs';

/**
 * The kernels' tests keep one core busy, so that the end-to-end tests run beside them, one file at a time: with two, each took almost
 * three times as long on two cores.
 */
const SIDE_BY_SIDE = { maxWorkers: 1, sequence: { groupOrder: 1 } };

export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      // Pure TypeScript, in Node.
      {
        // The package's entry for Node is not a module that Node loads.
        resolve: {
          alias: { wgsl_reflect: fileURLToPath(import.meta.resolve('wgsl_reflect/wgsl_reflect.module.js')) },
        },
        test: {
          name: 'unit',
          environment: 'node',
          setupFiles: ['src/testing/all-kernels.ts'],
          // Only what hangs is ended: a busy machine takes many times as long.
          testTimeout: 120_000,
          include: [
            'src/**/*.test.ts',
            'tools/**/*.test.ts',
            'patches/**/*.test.ts',
            'bench/**/*.test.ts',
            'quality/**/*.test.ts',
            'lab/**/*.test.ts',
            'examples/**/*.test.ts',
            'e2e/**/*.test.ts',
          ],
          exclude: ['**/*.gpu.test.ts', '**/*.dawn.test.ts', '**/node_modules/**'],
        },
      },
      // The plugin on a device of Dawn's, in Node. The files share a device, which has compiled the kernels once.
      {
        test: {
          name: 'dawn',
          environment: 'node',
          setupFiles: ['src/testing/all-kernels.ts'],
          include: ['src/**/*.dawn.test.ts'],
          isolate: false,
          fileParallelism: false,
          maxWorkers: 1,
          testTimeout: 1_200_000,
          hookTimeout: 600_000,
        },
      },
      // Long runs of the same kind, by `npm run trust`.
      {
        test: {
          name: 'trust',
          environment: 'node',
          setupFiles: ['src/testing/all-kernels.ts'],
          include: ['src/**/*.trust.ts'],
          testTimeout: 3_600_000,
          hookTimeout: 600_000,
        },
      },
      // The package as `npm pack` makes it of the latest build.
      {
        test: {
          name: 'package',
          environment: 'node',
          include: ['tools/**/*.pack.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      // The packed file in new projects, and the kernels as the build strips them, by `npm run test:package`.
      {
        plugins: [strippedWgsl()],
        test: {
          name: 'install',
          environment: 'node',
          setupFiles: ['src/testing/all-kernels.ts'],
          include: ['tools/**/*.install.ts', 'src/kernel/text/compile.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 120_000,
        },
      },
      // Kernels on a WebGPU device, in the browser (software adapter without a GPU).
      {
        test: {
          name: 'gpu',
          setupFiles: ['src/testing/all-kernels.ts'],
          include: ['src/**/*.gpu.test.ts'],
          ...SIDE_BY_SIDE,
          testTimeout: 1_200_000,
          hookTimeout: 240_000,
          browser: {
            enabled: true,
            headless: true,
            fileParallelism: false,
            screenshotFailures: false,
            provider: playwright({ launchOptions: launchOptions() }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
      // The plugin in transformers.js on a real model, and the pages, driven from Node.
      {
        test: {
          name: 'e2e',
          environment: 'node',
          include: ['e2e/**/*.e2e.ts', 'tools/**/*.e2e.ts'],
          ...SIDE_BY_SIDE,
          testTimeout: 1_800_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
