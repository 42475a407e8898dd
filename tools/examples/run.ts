// Runs or builds an example of this repository, on the package that is built: `npm run example -- NAME`, `npm run extension`.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build, preview } from 'vite';
import { ROOT } from '../../lab/root.ts';
import { exampleConfig, linkPackage, offline } from './build.ts';

const [name, command = 'run'] = process.argv.slice(2);
const folder = join(ROOT, 'examples', name ?? '');
if (!name || !existsSync(join(folder, 'package.json'))) {
  console.error(`There is no example "${name ?? ''}". examples/README.md has a list.`);
  process.exit(1);
}
linkPackage();
if (!existsSync(join(folder, 'index.html')) && command === 'run' && existsSync(join(folder, 'main.js'))) {
  execFileSync(process.execPath, ['main.js'], { cwd: folder, stdio: 'inherit' });
} else {
  const { plugins = [], worker, ...config } = exampleConfig(folder);
  const local = command === 'build' ? [] : [offline()];
  const settings = {
    ...config,
    plugins: [...plugins, ...local],
    worker: { plugins: () => [...(worker?.plugins?.() ?? []), ...local] },
  };
  await build(settings);
  if (command === 'build') console.log(`Built: ${join('examples', name, 'dist')}`);
  else (await preview({ ...settings, preview: { open: true } })).printUrls();
}
