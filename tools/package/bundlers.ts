import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import * as vite from 'vite';
import webpack from 'webpack';

/** What a bundler makes of an entry. */
export interface Bundle {
  /** Bytes, compressed, of what a page loads at once. */
  readonly loaded: number;
  /** Files that it may load later. */
  readonly later: number;
}

/** Bundles the file `entry.js` of a folder for a page, as an app's build does. */
export type Bundler = (folder: string) => Promise<Bundle>;

const compressed = (text: string | Uint8Array) => gzipSync(text, { level: 9 }).length;
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

/** The names that are reached from one by static imports, and that one. */
function reached(from: string, importsOf: (name: string) => readonly string[]): Set<string> {
  const names = new Set([from]);
  for (const name of names) for (const next of importsOf(name)) names.add(next);
  return names;
}

const withEsbuild: Bundler = async (folder) => {
  const { metafile, outputFiles } = await esbuild.build({
    absWorkingDir: folder,
    entryPoints: ['entry.js'],
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    outdir: 'out',
    write: false,
    metafile: true,
    // A warning about the package is a fault of the package.
    logOverride: { 'ignored-bare-import': 'error' },
    logLevel: 'silent',
  });
  const { outputs } = metafile;
  const entry = Object.keys(outputs).find((name) => outputs[name]!.entryPoint === 'entry.js')!;
  const loaded = reached(entry, (name) =>
    outputs[name]!.imports.filter(({ kind }) => kind === 'import-statement').map(({ path }) => path),
  );
  const bytes = outputFiles
    .filter(({ path }) => loaded.has(path.slice(folder.length + 1)))
    .map(({ contents }) => compressed(contents));
  return { loaded: sum(bytes), later: outputFiles.length - loaded.size };
};

const withVite: Bundler = async (folder) => {
  const result = await vite.build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    build: { write: false, target: 'es2022', modulePreload: false, rolldownOptions: { input: 'entry.js' } },
  });
  if (!('output' in result)) throw new Error('The page was not built once.');
  const chunks = new Map(result.output.flatMap((it) => (it.type === 'chunk' ? [[it.fileName, it]] : [])));
  const entry = [...chunks.values()].find(({ isEntry }) => isEntry)!;
  const loaded = reached(entry.fileName, (name) => chunks.get(name)!.imports);
  return {
    loaded: sum([...loaded].map((name) => compressed(chunks.get(name)!.code))),
    later: chunks.size - loaded.size,
  };
};

const withWebpack: Bundler = async (folder) => {
  const compiler = webpack({
    context: folder,
    mode: 'production',
    entry: './entry.js',
    target: ['web', 'es2022'],
    output: { path: join(folder, 'out') },
    performance: false,
  });
  const stats = await new Promise<webpack.StatsCompilation>((resolve, reject) => {
    compiler.run((error, done) => {
      if (error || !done) return reject(error ?? new Error('There is no result.'));
      if (done.hasErrors() || done.hasWarnings()) return reject(new Error(done.toString('errors-warnings')));
      resolve(done.toJson({ all: false, assets: true, entrypoints: true }));
    });
  });
  await new Promise<void>((resolve) => compiler.close(() => resolve()));
  const loaded = stats.entrypoints!.main!.assets!.map(({ name }) => name);
  return {
    loaded: sum(loaded.map((name) => compressed(readFileSync(join(folder, 'out', name))))),
    later: stats.assets!.filter(({ name }) => name.endsWith('.js')).length - loaded.length,
  };
};

export const BUNDLERS: Readonly<Record<string, Bundler>> = {
  esbuild: withEsbuild,
  'Vite with Rolldown': withVite,
  webpack: withWebpack,
};
