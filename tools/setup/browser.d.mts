/** The path of a browser, or undefined. `CHROME_PATH` wins, then a system browser, then Playwright's. */
export function findBrowser(): string | undefined;
/** Flags for tests: quiet, and WebGPU on the software adapter unless `SIFT_GPU=1` asks for the real one. */
export function browserArgs(): string[];
