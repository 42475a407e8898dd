// Makes the package's declarations, of those that the compiler has written for each source file: one file for each entry, and what they
// share.
import { appendFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { dts } from 'rolldown-plugin-dts';
import { ROOT } from '../../lab/root.ts';
import { ENTRIES } from './entries.ts';

/** Where tsconfig.build.json has the compiler write. */
const COMPILED = join(ROOT, '.cache/types');

const DIST = join(ROOT, 'dist');

/** What the entries share. */
const SHARED = 'chunks/types.d.ts';

/**
 * Declares the interfaces of WebGPU that the package's types name. TypeScript has them from version 6 on, and before that projects that
 * use WebGPU have @webgpu/types. Both at once contradict each other, so that the package asks for neither: an empty interface adds nothing
 * to one that is there, and stands for it where there is none.
 */
function webgpuInterfaces(declarations: string): string {
  const code = declarations.replace(/\/\*[\s\S]*?\*\//g, '');
  const names = [...new Set(code.match(/\bGPU[A-Z]\w+/g))].sort();
  return `\ndeclare global {\n${names.map((name) => `  interface ${name} {}\n`).join('')}}\n`;
}

const build = await rolldown({
  input: Object.fromEntries(ENTRIES.map((name) => [`${name}.d`, join(COMPILED, `src/${name}.d.ts`)])),
  plugins: [dts({ dtsInput: true, tsconfig: false })],
});
await build.write({
  dir: DIST,
  entryFileNames: '[name].ts',
  chunkFileNames: SHARED,
  codeSplitting: { groups: [{ name: 'types', test: /./, minShareCount: 2 }] },
});
await build.close();
await appendFile(join(DIST, SHARED), webgpuInterfaces(await readFile(join(DIST, SHARED), 'utf8')));
await rm(COMPILED, { recursive: true });
