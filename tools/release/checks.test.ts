import { describe, expect, test } from 'vitest';
import { changelogEntry, problems, type ReleaseState } from './checks.ts';

const CHANGELOG = `# Changelog

## Unreleased

## [0.2.0] - 2026-12-01

### Added

- Something.

## 0.1.0

First.
`;

const READY: ReleaseState = {
  version: '0.2.0',
  status: '',
  branch: 'main',
  tags: ['v0.1.0', 'other'],
  changelog: CHANGELOG,
  citation: 'title: x\nversion: 0.2.0\n',
};

test('a version that is ready has no problems', () => {
  expect(problems(READY)).toEqual([]);
});

describe('an entry of the changelog', () => {
  test('is found by its version, with or without brackets and a date', () => {
    expect(changelogEntry(CHANGELOG, '0.2.0')).toBe('### Added\n\n- Something.');
    expect(changelogEntry(CHANGELOG, '0.1.0')).toBe('First.');
    expect(changelogEntry(CHANGELOG, 'unreleased')).toBe('');
  });
  test('is not found by the beginning of another version', () => {
    expect(changelogEntry(CHANGELOG, '0.2')).toBeNull();
    expect(changelogEntry('## 0.2.01\n\nx', '0.2.0')).toBeNull();
  });
});

test.each<[string, Partial<ReleaseState>, RegExp]>([
  ['changes that are not committed', { status: ' M src/index.ts\n' }, /not committed/],
  ['another branch', { branch: 'docs' }, /The branch is docs/],
  ['no branch', { branch: '' }, /The branch is none/],
  ['a tag that is there', { tags: ['v0.2.0'] }, /There is a tag v0\.2\.0/],
  ['a later version', { tags: ['v0.10.0'] }, /Version 0\.10\.0 was released before/],
  ['no changelog', { changelog: null }, /There is no CHANGELOG/],
  ['no entry', { changelog: '# Changelog\n\n## 0.1.0\n\nFirst.\n' }, /no entry for 0\.2\.0/],
  ['an empty entry', { changelog: '## 0.2.0\n\n## 0.1.0\n\nFirst.\n' }, /no entry for 0\.2\.0/],
  ['entries left over', { changelog: `## Unreleased\n\n- More.\n\n${CHANGELOG}` }, /under "Unreleased"/],
  ['another version to cite', { citation: 'version: 0.1.0\n' }, /CITATION\.cff/],
  ['a version that is none', { version: 'next' }, /not of the form/],
])('%s: one problem', (_, change, message) => {
  const found = problems({ ...READY, ...change });
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(message);
});
