// Builds or serves an example of this repository: `npm run example -- NAME`, `npm run extension`.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build, createServer } from 'vite';
import { ROOT } from '../../lab/root.ts';
import { exampleConfig, linkPackage } from './build.ts';

const [name, command = 'serve'] = process.argv.slice(2);
const folder = join(ROOT, 'examples', name ?? '');
if (!name || !existsSync(join(folder, 'package.json'))) {
  console.error(`There is no example "${name ?? ''}". examples/README.md has a list.`);
  process.exit(1);
}
linkPackage();
if (command === 'build') {
  await build(exampleConfig(folder));
  console.log(`Built: ${join('examples', name, 'dist')}`);
} else {
  const server = await createServer({ ...exampleConfig(folder), server: { open: true } });
  await server.listen();
  server.printUrls();
}
