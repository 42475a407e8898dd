import type { Plugin } from 'vite';
import { NO_RELOAD, openServedPage, repositoryServer } from '../../lab/browser.ts';
import { fileInFolder, modelServer } from '../../lab/model-server.ts';
import type { Evaluator } from './evaluator.ts';
import type {} from './page/main.ts';

/** An evaluator that must be closed. */
export interface OpenEvaluator {
  evaluator: Evaluator;
  close(): Promise<void>;
}

export interface BrowserModel {
  /** Folder of a model; null for a model of the hub. */
  folder: string | null;
  /** The model's id on the hub, if it has no folder. */
  hubId: string | null;
  dtype: string;
}

const PREFIX = '/quality-model/';

/** Serves a model's folder, wherever it lies, under /quality-model/. */
const servedFolder = (folder: string): Plugin =>
  modelServer((path) =>
    path.startsWith(PREFIX) ? fileInFolder(folder, path.slice(PREFIX.length)) : undefined,
  );

/**
 * Serves the evaluator's page and opens it in a browser: on the software adapter, or with SIFT_GPU=1 on the GPU. Run it from the
 * repository's root.
 */
export async function openBrowserEvaluator(
  model: BrowserModel,
  progress: (message: string) => void,
): Promise<OpenEvaluator> {
  const config = repositoryServer(process.cwd(), 'quality', {
    server: NO_RELOAD,
    plugins: model.folder === null ? [] : [servedFolder(model.folder)],
  });
  const { page, close } = await openServedPage(
    '/quality/evaluation/page/index.html',
    config,
    async (page) => {
      page.setDefaultTimeout(0); // a sequence takes as long as it takes
      page.on('pageerror', (error) => console.error('page error:', error.message));
      await page.exposeFunction('qualityProgress', progress);
    },
  );
  try {
    await page.waitForFunction(() => 'openEvaluator' in window);
    await page.evaluate(({ hubId, dtype }) => window.openEvaluator({ hubId, dtype }), {
      hubId: model.hubId,
      dtype: model.dtype,
    });
    const call = <K extends keyof Evaluator>(name: K): Evaluator[K] =>
      ((...args: unknown[]) =>
        page.evaluate(
          ([method, values]) =>
            (window.evaluator[method as keyof Evaluator] as (...args: unknown[]) => unknown)(
              ...(values as unknown[]),
            ),
          [name, args] as const,
        )) as Evaluator[K];
    return {
      evaluator: {
        facts: call('facts'),
        encode: call('encode'),
        generate: call('generate'),
        exact: call('exact'),
        policy: call('policy'),
        tasks: call('tasks'),
        task: call('task'),
        reference: call('reference'),
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
