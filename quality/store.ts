// What a run has measured so far, on disk: an interrupted run goes on from there.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

interface Saved {
  settings: unknown;
  done: Record<string, unknown>;
}

/** Results by name, saved after each. */
export class Store {
  private done: Record<string, unknown>;
  /** Results that an earlier run left. */
  readonly resumed: number;
  /** An earlier run's results were of other settings, and are not used. */
  readonly otherSettings: boolean;

  /**
   * @param path of the file.
   * @param settings what the results depend on: those of other settings are not taken over.
   */
  constructor(
    private readonly path: string,
    private readonly settings: unknown,
  ) {
    const saved = read(path);
    const same = saved !== undefined && JSON.stringify(saved.settings) === JSON.stringify(settings);
    this.done = same ? saved.done : {};
    this.otherSettings = saved !== undefined && !same;
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

  /** The run is over. */
  remove(): void {
    rmSync(this.path, { force: true });
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
