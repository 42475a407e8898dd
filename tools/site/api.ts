// The API reference, as Markdown pages of the site: of the declarations that are published, so that it shows what users get.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';
import { join } from 'node:path';
import { ROOT } from '../../lab/root.ts';
import { ENTRIES } from '../package/entries.ts';

/** Entries that declare something. */
const DECLARED = ENTRIES.filter((name) => name !== 'register');

/** TypeDoc's first page. */
const OVERVIEW = 'overview';

/**
 * Writes one page for each entry of the package.
 * @param folder where to; what is there is removed
 */
export async function writeApi(folder: string): Promise<void> {
  const entryPoints = DECLARED.map((name) => join(ROOT, `dist/${name}.d.ts`));
  if (!entryPoints.every((path) => existsSync(path)))
    throw new Error('The API reference is made of the built package. Run `npm run build` first.');
  register('./typescript.mjs', import.meta.url);
  const { Application } = await import('typedoc');
  const options = {
    entryPoints,
    tsconfig: join(ROOT, 'tools/site/tsconfig.api.json'),
    plugin: ['typedoc-plugin-markdown'],
    readme: 'none',
    name: 'API',
    disableSources: true,
    disableGit: true,
    excludePrivate: true,
    excludeProtected: true,
    excludeInternal: true,
    // What two entries export is described with the first of them.
    excludeReferences: true,
    logLevel: 'Warn',
    // What the entries do not export is named by what they do, and WebGPU's interfaces are the browser's.
    validation: { notExported: false, invalidLink: true, notDocumented: false },
    treatWarningsAsErrors: true,
    // Of typedoc-plugin-markdown.
    out: folder,
    outputFileStrategy: 'modules',
    // The entry `index` is the page `index`, so that the overview needs another name.
    entryFileName: OVERVIEW,
    hidePageHeader: true,
    hideBreadcrumbs: true,
    // Its links count headings in a way of their own.
    useHTMLAnchors: true,
    useCodeBlocks: true,
    parametersFormat: 'table',
  };
  const app = await Application.bootstrapWithPlugins(options as never);
  const project = await app.convert();
  if (!project) throw new Error('TypeDoc could not read the declarations of the package.');
  app.validate(project);
  await app.generateOutputs(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error('TypeDoc had errors or warnings.');
  // It lists the entries, as the site's menu does.
  rmSync(join(folder, `${OVERVIEW}.md`));
  for (const name of DECLARED) {
    const path = join(folder, `${name}.md`);
    const entry = name === 'index' ? 'sift-attention' : `sift-attention/${name}`;
    writeFileSync(path, readFileSync(path, 'utf8').replace(/^# .*$/m, `# ${entry}`));
  }
}
