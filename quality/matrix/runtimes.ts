// Other builds of the libraries than those that are installed, for the page: unpacked packages of npm in a folder.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Plugin } from 'vite';
import { fileInFolder, modelServer } from '../../lab/model-server.ts';

const RUNTIME = 'onnxruntime-web';
const LIBRARY = '@huggingface/transformers';

/** An unpacked package. */
interface Package {
  folder: string;
  name: string;
  version: string;
  dependencies: Record<string, string>;
}

/** A pair of the two libraries. */
export interface Runtime {
  /** Versions of the packages, by name. */
  versions: Record<string, string>;
  /** Has the page's server give them out in place of the installed ones. */
  plugins: Plugin[];
  /** Path of the runtime's WebAssembly on the server; null: of the installed package. */
  path: string | null;
}

/** Path under which the server has the files of a runtime. */
const PREFIX = '/matrix-runtime/';

function packageIn(folder: string): Package | undefined {
  const file = join(folder, 'package.json');
  if (!existsSync(file)) return undefined;
  const { name, version, dependencies = {} } = JSON.parse(readFileSync(file, 'utf8'));
  return { folder: resolve(folder), name, version, dependencies };
}

const installed = (name: string): Package => {
  const found = packageIn(join('node_modules', name));
  if (!found) throw new Error(`${name} is not installed.`);
  return found;
};

/** Files that imports of a pair lead to, by what is imported. */
function importsOf(library: Package, runtime: Package): Record<string, string> {
  const webgpu = join(runtime.folder, 'dist/ort.webgpu.bundle.min.mjs');
  return {
    [LIBRARY]: join(library.folder, 'dist/transformers.web.js'),
    [RUNTIME]: webgpu,
    [`${RUNTIME}/webgpu`]: webgpu,
    // A package out of its node_modules does not find what it depends on.
    'onnxruntime-common': join(installed('onnxruntime-common').folder, 'dist/esm/index.js'),
  };
}

/** How a pair is served. */
function runtimeOf(library: Package, runtime: Package): Runtime {
  const imports = importsOf(library, runtime);
  return {
    versions: { [LIBRARY]: library.version, [RUNTIME]: runtime.version },
    plugins: [
      { name: 'other-runtime', enforce: 'pre', resolveId: (source) => imports[source] },
      modelServer((path) =>
        path.startsWith(PREFIX)
          ? fileInFolder(join(runtime.folder, 'dist'), path.slice(PREFIX.length))
          : undefined,
      ),
    ],
    path: PREFIX,
  };
}

/**
 * Pairs of the libraries that a folder's packages make, by the names of their folders. A runtime comes with the installed library. A
 * library comes with the runtime that it depends on, if the folder has it, and else with the installed one.
 *
 * @throws Error if the folder has neither
 */
export function findRuntimes(folder: string): Runtime[] {
  const packages = readdirSync(folder)
    .sort()
    // An archive of npm has its files in a folder `package`.
    .flatMap((name) => packageIn(join(folder, name)) ?? packageIn(join(folder, name, 'package')) ?? []);
  const runtimes = packages.filter(({ name }) => name === RUNTIME);
  const pairs = packages.flatMap((found) => {
    if (found.name === RUNTIME) return [runtimeOf(installed(LIBRARY), found)];
    if (found.name !== LIBRARY) return [];
    const wanted = runtimes.find(({ version }) => version === found.dependencies[RUNTIME]);
    return [runtimeOf(found, wanted ?? installed(RUNTIME))];
  });
  if (pairs.length === 0) throw new Error(`${folder} has no unpacked package of ${RUNTIME} or ${LIBRARY}.`);
  return pairs;
}
