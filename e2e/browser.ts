import type { Page } from 'playwright';
import type { Plugin } from 'vite';
import { openServedPage, repositoryServer } from '../lab/browser.ts';
import { fileInMemory, modelServer } from '../lab/model-server.ts';
import { ROOT } from '../lab/root.ts';

/** A served page in a browser of its own. */
export interface Session {
  page: Page;
  /** Requests that would have left this machine; each was refused. */
  outside: string[];
  close(): Promise<void>;
}

/** Models of a test's own: their files by name of the model and path. */
export type Models = Record<string, Record<string, Uint8Array>>;

/** Serves models out of memory beside those of the repository. */
const servedModels = (models: Models): Plugin =>
  modelServer((path) => {
    const [, folder, name = '', ...rest] = path.split('/');
    const files = folder === 'models' ? models[name] : undefined;
    const file = files?.[rest.join('/')];
    return file ? fileInMemory(file) : files && null;
  });

/**
 * Serves a folder or a Vite project and opens a page of it.
 * @param path path of the page on the server.
 * @param configFile a Vite configuration; default: the repository's root as it is.
 * @param models served beside those of the repository, under /models
 */
export async function openPage(path: string, configFile?: string, models: Models = {}): Promise<Session> {
  const outside: string[] = [];
  const config = configFile
    ? { configFile, server: { port: 0, open: false }, logLevel: 'error' as const }
    : repositoryServer(ROOT, 'e2e', { plugins: [servedModels(models)] });
  const { page, close } = await openServedPage(path, config, async (page) => {
    await page.route('**/*', (route) => {
      const { hostname, protocol } = new URL(route.request().url());
      if (
        protocol === 'blob:' ||
        protocol === 'data:' ||
        hostname === 'localhost' ||
        hostname === '127.0.0.1'
      ) {
        return route.continue();
      }
      outside.push(route.request().url());
      return route.abort();
    });
    page.on('pageerror', (error) => console.error('page error:', error.message));
  });
  return { page, outside, close };
}
