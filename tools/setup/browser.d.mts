/** The path of a browser, or undefined. `CHROME_PATH` wins, then a system browser, then Playwright's. */
export function findBrowser(): string | undefined;
/** Part of Playwright's `LaunchOptions`. */
export interface BrowserLaunch {
  executablePath?: string;
  args: string[];
  /** Flags of Playwright's own that are left out. */
  ignoreDefaultArgs?: string[];
  /** The browser's environment; without it, this process's. */
  env?: Record<string, string>;
}
/**
 * What Playwright is told to start the browser with. WebGPU runs on the software adapter, unless `SIFT_GPU=1` asks for the GPU.
 * `CHROME_ARGS` has more flags, with spaces between them. `CHROME_LIBS` is a folder of shared libraries for a browser that was copied
 * from another machine; nothing but the browser gets them.
 *
 * @param env - default: this process's environment
 * @param system - as `os.platform()` names it; default: this one
 * @throws Error if `CHROME_PATH` names no file
 */
export function launchOptions(env?: Record<string, string | undefined>, system?: string): BrowserLaunch;
