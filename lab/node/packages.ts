import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The file that a package's import leads to. It is looked for above this script, and then above the working directory. */
export function resolvePackage(name: string): string {
  const paths = [dirname(fileURLToPath(import.meta.url)), process.cwd()];
  return createRequire(import.meta.url).resolve(name, { paths });
}
