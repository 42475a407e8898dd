// npm run release: checks a version, runs all tests, and packs it. It publishes nothing.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../lab/root.ts';
import { problems, type ReleaseState } from './checks.ts';

const git = (...args: string[]) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' });
const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const npm = (...args: string[]) => {
  console.log(`> npm ${args.join(' ')}`);
  execFileSync('npm', args, { cwd: ROOT, stdio: 'inherit', shell: process.platform === 'win32' });
};

const state: ReleaseState = {
  version: JSON.parse(read('package.json')).version,
  status: git('status', '--porcelain'),
  branch: git('branch', '--show-current').trim(),
  tags: git('tag', '--list').split('\n').filter(Boolean),
  changelog: existsSync(join(ROOT, 'CHANGELOG.md')) ? read('CHANGELOG.md') : null,
  citation: read('CITATION.cff'),
};

const found = problems(state);
if (found.length > 0) {
  console.error(found.map((problem) => `- ${problem}`).join('\n'));
  process.exit(1);
}
if (process.argv.includes('--check')) {
  console.log(`Version ${state.version} can be released.`);
  process.exit(0);
}

npm('test');
npm('run', 'test:package');
npm('pack');
const file = `sift-attention-${state.version}.tgz`;
console.log(`
${file} is packed and tested. To publish it:
  git tag v${state.version} && git push origin main v${state.version}
  npm publish ${file}`);
