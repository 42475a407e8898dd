/** One file of WGSL. A kernel is made of several modules, and several kernels may have the same module. */
export interface WgslModule {
  /** Folder and file name under wgsl/, for example `sift/queue`. */
  readonly name: string;
  /** The text of the file. Lines at its head name the constants it needs, such as `// Constants: HEADS, LANES`, which tests check. */
  readonly text: string;
}

/** Makes a module from the text of a file. */
export function wgslModule(name: string, text: string): WgslModule {
  return { name, text };
}
