// What must be so before a version is released.

/** What is looked at. */
export interface ReleaseState {
  /** Of package.json. */
  version: string;
  /** What `git status --porcelain` says. */
  status: string;
  branch: string;
  /** All tags of the repository. */
  tags: readonly string[];
  /** CHANGELOG.md; null if there is none. */
  changelog: string | null;
  /** CITATION.cff. */
  citation: string;
}

const VERSION = /^(\d+)\.(\d+)\.(\d+)(-[\w.]+)?$/;

/** The text below a heading of the changelog, such as `## 0.2.0` or `## [0.2.0] - 2026-12-01`; null if there is no such heading. */
export function changelogEntry(changelog: string, version: string): string | null {
  for (const part of changelog.split(/^## /m).slice(1)) {
    const end = part.includes('\n') ? part.indexOf('\n') : part.length;
    const heading = part.slice(0, end).trim();
    const name = /^\[?([^\]\s]+)\]?/.exec(heading)?.[1];
    if (name?.toLowerCase() === version.toLowerCase()) return part.slice(end).trim();
  }
  return null;
}

/** Whether a version comes after another, both without what follows a hyphen. */
function isLater(version: string, than: string): boolean {
  const numbers = (text: string) => VERSION.exec(text)!.slice(1, 4).map(Number);
  const [a, b] = [numbers(version), numbers(than)];
  const place = a.findIndex((part, i) => part !== b[i]);
  return place >= 0 && a[place]! > b[place]!;
}

/** Why the version cannot be released, in sentences; none if it can. */
export function problems(state: ReleaseState): string[] {
  const { version, status, branch, tags, changelog, citation } = state;
  const found: string[] = [];
  if (!VERSION.test(version)) return [`The version ${version} of package.json is not of the form 1.2.3.`];
  if (status.trim()) found.push('There are changes that are not committed.');
  if (branch !== 'main') found.push(`The branch is ${branch || 'none'}, and not main.`);
  if (tags.includes(`v${version}`)) found.push(`There is a tag v${version} already: raise the version.`);
  const later = tags
    .map((tag) => tag.replace(/^v/, ''))
    .filter((tag) => VERSION.test(tag) && isLater(tag, version));
  if (later.length > 0) found.push(`Version ${later[0]} was released before, and is later than ${version}.`);
  if (changelog === null) found.push('There is no CHANGELOG.md.');
  else {
    if (!changelogEntry(changelog, version)) found.push(`CHANGELOG.md has no entry for ${version}.`);
    if (changelogEntry(changelog, 'Unreleased'))
      found.push(`CHANGELOG.md has entries under "Unreleased": move them to ${version}.`);
  }
  if (!new RegExp(`^version: "?${version.replaceAll('.', '\\.')}"?$`, 'm').test(citation))
    found.push(`CITATION.cff does not say version ${version}.`);
  return found;
}
