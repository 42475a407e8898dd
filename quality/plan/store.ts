// Keeps on disk what a run has measured so far, so that an interrupted run goes on from there.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Shard } from './options.ts';

interface Saved {
  settings: unknown;
  done: Record<string, unknown>;
}

/** Where a run keeps its results. A run that measures only a share has a file of its own. */
export const partPath = (base: string, shard?: Shard): string =>
  shard ? `${base}.${shard.index}of${shard.count}.part` : `${base}.part`;

/** The files of all shares of a run that there are. */
export function shardPaths(base: string): string[] {
  const folder = dirname(base);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const rest = (name: string) => (name.startsWith(basename(base)) ? name.slice(basename(base).length) : '');
  return names.filter((name) => /^\.\d+of\d+\.part$/.test(rest(name))).map((name) => join(folder, name));
}

/** Results by name, saved after each. */
export class Store {
  private done: Record<string, unknown> = {};
  /** Results that an earlier run left. */
  readonly resumed: number;
  /** An earlier run's results were of other settings, and are not used. */
  readonly otherSettings: boolean;

  /**
   * @param path of the file.
   * @param settings what the results depend on: those of other settings are not taken over.
   * @param others files of other runs whose results are taken over, too.
   */
  constructor(
    private readonly path: string,
    private readonly settings: unknown,
    private readonly others: readonly string[] = [],
  ) {
    this.otherSettings = false;
    for (const saved of [...others, path].map(read)) {
      if (saved === undefined) continue;
      if (JSON.stringify(saved.settings) === JSON.stringify(settings)) Object.assign(this.done, saved.done);
      else this.otherSettings = true;
    }
    this.resumed = Object.keys(this.done).length;
  }

  get<T>(key: string): T | undefined {
    return this.done[key] as T | undefined;
  }

  /** Keeps a result, numbers to seven digits. The file is replaced whole, so that a kill leaves the old or the new one. */
  set(key: string, value: unknown): void {
    const rounded = JSON.stringify(value, (_, x) =>
      typeof x === 'number' && !Number.isInteger(x) ? Number(x.toPrecision(7)) : x,
    );
    this.done[key] = JSON.parse(rounded); // as it will be read again
    const text = JSON.stringify({ settings: this.settings, done: this.done });
    mkdirSync(dirname(this.path), { recursive: true });
    writeFileSync(`${this.path}.new`, text);
    renameSync(`${this.path}.new`, this.path);
  }

  /** Forgets what an earlier run left. */
  clear(): void {
    this.done = {};
  }

  /** Removes the files, once the run is over. */
  remove(): void {
    for (const path of [this.path, ...this.others]) rmSync(path, { force: true });
  }
}

function read(path: string): Saved | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const saved = JSON.parse(readFileSync(path, 'utf8')) as Saved;
    return typeof saved.done === 'object' && saved.done !== null ? saved : undefined;
  } catch {
    return undefined; // not a file of ours, or cut off: begin anew
  }
}
