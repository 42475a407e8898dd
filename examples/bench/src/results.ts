import type { BenchRow, BrowserBench } from '../../../bench/browser/format.ts';
import { libraryVersions } from './measure/run.ts';

declare const SIFT_VERSION: string;

/** Notes what somebody says of the machine; nothing, if the text is empty. */
export function nameMachine(results: BrowserBench, text: string): void {
  if (text) results.machine = text;
  else delete results.machine;
}

/** Results of this browser, with no rows yet. */
export async function emptyResults(machine: string): Promise<BrowserBench> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  const { vendor = '', architecture = '', description = '', isFallbackAdapter } = adapter?.info ?? {};
  const software =
    isFallbackAdapter === true ||
    /swiftshader|llvmpipe|basic render/i.test(`${vendor} ${architecture} ${description}`);
  return {
    format: 1,
    date: new Date().toISOString(),
    version: SIFT_VERSION,
    libraries: {},
    browser: navigator.userAgent,
    adapter: { vendor, architecture, description, software },
    ...(machine && { machine }),
    isolated: crossOriginIsolated,
    threads: 0,
    models: [],
    rows: [],
    missing: [],
  };
}

/** Adds what is known once the runtime has been loaded. */
export function addRuntime(results: BrowserBench, threads: number): void {
  results.libraries = libraryVersions();
  results.threads = threads;
}

/** Lengths of a model in ascending order, each with its rows by variant. */
export function byLength(rows: readonly BenchRow[]): [number, Map<string, BenchRow>][] {
  const lengths = new Map<number, Map<string, BenchRow>>();
  for (const row of rows) {
    const variants = lengths.get(row.context) ?? new Map<string, BenchRow>();
    variants.set(row.variant, row);
    lengths.set(row.context, variants);
  }
  return [...lengths].sort(([a], [b]) => a - b);
}

/** How many times faster than stock the default is; undefined where one of them was not measured. */
export function gain(variants: ReadonlyMap<string, BenchRow>): number | undefined {
  const stock = variants.get('stock');
  const sift = variants.get('default');
  return stock && sift ? stock.msMedian / sift.msMedian : undefined;
}

/** The text of an issue that brings the results in. */
export function issueText(results: BrowserBench): string {
  const { adapter, browser, machine } = results;
  const name =
    machine || adapter.description || [adapter.vendor, adapter.architecture].filter(Boolean).join(' ');
  const lines = results.rows.map(
    ({ model, context, variant, msMedian, msP90 }) =>
      `| ${model} | ${context} | ${variant} | ${msMedian.toFixed(1)} | ${msP90.toFixed(1)} |`,
  );
  return `Title: Figures of ${name}

GPU: ${name}
Browser: ${browser}

| model | context | variant | ms a token | 90th percentile |
| --- | --- | --- | --- | --- |
${lines.join('\n')}

<details><summary>JSON</summary>

\`\`\`json
${JSON.stringify(results)}
\`\`\`

</details>
`;
}
