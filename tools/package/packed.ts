import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../lab/root.ts';

/** The package as it is published, and a folder in which it is installed. */
export interface Packed {
  /** A folder of a project, with nothing but the package in its node_modules. */
  readonly folder: string;
  /** The packed file. */
  readonly file: string;
  /** The package in node_modules. */
  readonly installed: string;
  remove(): void;
}

/** Packs what the latest build made, and unpacks it into the node_modules of an empty project. */
export function pack(): Packed {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.cache/packed-'));
  // The build is not repeated: its result is what is tested.
  execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'ignore'],
    shell: process.platform === 'win32',
  });
  const file = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz'))!);
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  execFileSync('tar', ['-xzf', file, '-C', modules]);
  renameSync(join(modules, 'package'), join(modules, 'sift-attention'));
  return {
    folder,
    file,
    installed: join(modules, 'sift-attention'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
