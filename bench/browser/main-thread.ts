import type { CDPSession, Page } from 'playwright';

/** Microseconds between two looks at what the main thread does. */
const INTERVAL = 100;

/** A profile as the browser gives it. */
export interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[];
  samples?: number[];
  /** Microseconds before each sample. */
  timeDeltas?: number[];
}

/** Whose code a function is. */
export function ownerOf({ functionName, url }: Profile['nodes'][number]['callFrame']): string {
  if (functionName === '(idle)') return 'idle';
  if (functionName === '(garbage collector)') return 'garbage collection';
  if (functionName.startsWith('(')) return 'browser';
  if (/^wasm:|\.wasm/.test(url) || functionName.startsWith('wasm-')) return "the runtime's WebAssembly";
  if (/\/src\/(adapters|kernel|policy|register|index|errors|options)/.test(url)) return 'the plugin';
  if (/onnxruntime|\/ort\.|ort-wasm/.test(url)) return "the runtime's JavaScript";
  if (/transformers|tokenizers|jinja/.test(url)) return 'transformers.js';
  if (/\/(examples|lab)\//.test(url)) return 'the benchmark';
  return url === '' ? "the browser's WebGPU and other methods" : 'other';
}

/** Milliseconds of a step by whose code ran. */
export function summarise(profile: Profile, steps: number): Record<string, number> {
  const owners = new Map(profile.nodes.map(({ id, callFrame }) => [id, ownerOf(callFrame)]));
  const sums: Record<string, number> = {};
  const { samples = [], timeDeltas = [] } = profile;
  samples.forEach((id, i) => {
    const owner = owners.get(id) ?? 'other';
    // A sample stands for the time until the next.
    sums[owner] = (sums[owner] ?? 0) + (timeDeltas[i + 1] ?? 0) / 1000 / steps;
  });
  return sums;
}

/** Profiles the main thread of a page between two calls. */
export class MainThread {
  private session: CDPSession | undefined;

  constructor(private readonly page: Page) {}

  async begin(): Promise<void> {
    this.session ??= await this.page.context().newCDPSession(this.page);
    await this.session.send('Profiler.enable');
    await this.session.send('Profiler.setSamplingInterval', { interval: INTERVAL });
    await this.session.send('Profiler.start');
  }

  async end(steps: number): Promise<Record<string, number>> {
    const { profile } = await this.session!.send('Profiler.stop');
    return summarise(profile, steps);
  }
}
