/** One file of WGSL. A kernel is made of several modules, and several kernels may have the same module. */
export interface WgslModule {
  /** Folder and file name under wgsl/, for example `sift/queue`. */
  readonly name: string;
  readonly text: string;
  /** Constants that it uses and does not declare. The assembler declares them in front of it. */
  readonly constants: readonly string[];
}

/** Lines at the head of a file that name the constants it needs, such as `// Constants: HEADS, LANES`. */
const CONSTANTS = /^\/\/ Constants: (.+)$/gm;

/** Makes a module from the text of a file, with the constants that its head names. */
export function wgslModule(name: string, text: string): WgslModule {
  const constants = [...text.matchAll(CONSTANTS)].flatMap(([, names]) => names!.split(', '));
  return { name, text, constants };
}
