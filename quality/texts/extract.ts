// npx tsx quality/texts/extract.ts FOLDER makes the texts that policies are held to besides English, from packages of Debian.
// They are under free licences, but too large to be a part of this repository.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { SEPARATOR } from '../plan/corpus.ts';
import { documents, prose } from './clean.ts';

interface Recipe {
  /** Name of the file that is made. */
  name: string;
  /** Package of Debian, and its version. */
  package: string;
  version: string;
  licence: string;
  /** Files in the package. */
  files: string[];
  /** What becomes of the files' texts. */
  documents(texts: string[]): string[];
}

const manual = (language: string, name: string): Recipe => ({
  name,
  package: `debian-reference-${language}`,
  version: '2.100',
  licence: 'GPL-2+',
  files: [`usr/share/debian-reference/debian-reference.${language}.txt.gz`],
  documents: ([text]) => documents(prose(text!).slice(0, LIMIT), 4),
});

/** Characters of a text at most: more than the sequences take. */
const LIMIT = 160_000;

const RECIPES: readonly Recipe[] = [
  manual('de', 'german'),
  manual('fr', 'french'),
  manual('es', 'spanish'),
  {
    name: 'python',
    package: 'libpython3.11-stdlib',
    version: '3.11.2-6+deb12u8',
    licence: 'PSF-2',
    files: ['tarfile', 'mailbox', 'doctest', 'difflib'].map((name) => `usr/lib/python3.11/${name}.py`),
    documents: (texts) => texts.map((text) => text.slice(0, LIMIT / 4)),
  },
];

function extract(
  { name, package: debian, version, licence, files, documents }: Recipe,
  folder: string,
): void {
  const place = mkdtempSync(join(tmpdir(), 'sift-texts-'));
  try {
    execFileSync('apt-get', ['download', `${debian}=${version}`], { cwd: place, stdio: 'pipe' });
    const [archive] = readdirSync(place).filter((file) => file.endsWith('.deb'));
    const tar = execFileSync('dpkg-deb', ['--fsys-tarfile', join(place, archive!)], { maxBuffer: 1e9 });
    const texts = files.map((file) => {
      const bytes = execFileSync('tar', ['xO', `./${file}`], { input: tar, maxBuffer: 1e9 });
      return (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
    });
    const text = documents(texts).join(`\n${SEPARATOR}\n`);
    writeFileSync(join(folder, `${name}.txt`), `${text}\n`);
    console.log(`${name}.txt: ${text.length} characters of ${debian} ${version} (${licence})`);
  } finally {
    rmSync(place, { recursive: true });
  }
}

const [folder = '.cache/texts', ...names] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
for (const recipe of RECIPES) if (names.length === 0 || names.includes(recipe.name)) extract(recipe, folder);
