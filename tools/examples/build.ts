import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { InlineConfig, Plugin } from 'vite';
import { fileInFolder, serveFiles } from '../../lab/model-server.ts';
import { ROOT } from '../../lab/root.ts';

const LIBRARY = /@huggingface[\\/]transformers[\\/]dist[\\/]transformers\.web\.js$/;

/**
 * Has transformers.js not see the subgroups of software adapters, on which its runtime would answer prompts wrongly
 * (lab/narrow-subgroups.ts). Examples are run here on machines without a GPU.
 */
export function softwareAdapters(): Plugin {
  const hide = join(ROOT, 'lab/narrow-subgroups.ts').replaceAll('\\', '/');
  return {
    name: 'software-adapters',
    enforce: 'pre',
    transform(code, id) {
      if (!LIBRARY.test(id.split('?')[0]!)) return null;
      const head = `import { hideNarrowSubgroups } from ${JSON.stringify(hide)};\nhideNarrowSubgroups();\n`;
      return { code: head + code, map: null };
    },
  };
}

/** Where transformers.js gets its runtime, in its own text. */
const RUNTIME = /`https:\/\/cdn\.jsdelivr\.net\/npm\/onnxruntime-web@\$\{[^}]*\}\/dist\/`/g;

/** Has an example run without a network: the runtime and the models of this repository come from the server that shows it. */
export function offline(): Plugin {
  const folders = { '/onnxruntime-web/': 'node_modules/onnxruntime-web/dist', '/models/': 'models' };
  return {
    name: 'offline',
    transform: (code, id) =>
      LIBRARY.test(id.split('?')[0]!)
        ? { code: code.replace(RUNTIME, "'/onnxruntime-web/'"), map: null }
        : null,
    configurePreviewServer: (server) =>
      serveFiles(server, (path) => {
        const found = Object.entries(folders).find(([prefix]) => path.startsWith(prefix));
        return found && fileInFolder(join(ROOT, found[1]), path.slice(found[0].length));
      }),
  };
}

/** What an example of this repository is built or served with, beside its own configuration. */
export const exampleConfig = (folder: string): InlineConfig => ({
  root: folder,
  logLevel: 'error',
  plugins: [softwareAdapters()],
  worker: { plugins: () => [softwareAdapters()] },
});

/**
 * Copies an example to a folder, without what was built or installed in it.
 *
 * @param into - lies in a folder of this repository, so that the libraries of its node_modules are found
 */
export function copyExample(name: string, into: string): string {
  const from = join(ROOT, 'examples', name);
  if (!existsSync(join(from, 'package.json'))) throw new Error(`There is no example ${name}.`);
  const folder = join(into, name);
  mkdirSync(folder, { recursive: true });
  cpSync(from, folder, {
    recursive: true,
    filter: (path) => !/[\\/](node_modules|dist)$/.test(path.slice(from.length)),
  });
  return folder;
}

/** Has the examples find the package that this repository builds under its name. */
export function linkPackage(): void {
  const modules = join(ROOT, 'examples/node_modules');
  const link = join(modules, 'sift-attention');
  if (existsSync(link)) return;
  mkdirSync(modules, { recursive: true });
  symlinkSync(ROOT, link, 'junction');
}
