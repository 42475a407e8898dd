// Every code sample of the documentation is held against the package's types.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../../lab/root.ts';
import { sources } from './pages.ts';
import { asModule, contextNames, type Sample, samplesOf, samplesOfPages } from './samples.ts';

let folder: string;
beforeAll(() => {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  folder = mkdtempSync(join(ROOT, '.cache/samples-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the compiler says of samples; nothing if all is well. Each becomes a file that is named as its page. */
function compile(samples: readonly Sample[]): string {
  const context = relative(folder, join(ROOT, 'tools/site/samples-context.ts')).replaceAll('\\', '/');
  const names = contextNames();
  for (const sample of samples) {
    const name = `${sample.page.replace(/\W+/g, '-')}-${sample.line}.ts`;
    writeFileSync(join(folder, name), asModule(sample, names, context));
  }
  const entry = (name: string) => [relative(folder, join(ROOT, `src/${name}.ts`))];
  const config = {
    extends: relative(folder, join(ROOT, 'tsconfig.json')),
    compilerOptions: {
      noUnusedLocals: false,
      paths: {
        'sift-attention': entry('index'),
        ...Object.fromEntries(
          ['transformers', 'web-llm', 'kernel', 'register'].map((name) => [
            `sift-attention/${name}`,
            entry(name),
          ]),
        ),
      },
    },
    include: ['*.ts'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  try {
    execFileSync(
      process.execPath,
      [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder, '--pretty', 'false'],
      {
        encoding: 'utf8',
        cwd: folder,
      },
    );
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

test('all samples compile', () => {
  const samples = samplesOfPages(['README.md', 'bench/README.md', ...sources()]);
  expect(samples.length).toBeGreaterThan(15);
  expect(samples.filter(({ page }) => page === 'README.md')).not.toEqual([]);
  expect(compile(samples)).toBe('');
});

test('a sample that does not fit the types is told, with its page and line', () => {
  const page = 'Text.\n\n```ts\nawait enableSift(generator, { qualty: 1 });\n```\n';
  const told = compile(samplesOf('wrong.md', page));
  expect(told).toMatch(/wrong-md-4\.ts\(4,\d+\): error .*qualty/);
});
