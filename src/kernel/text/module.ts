/** A piece of WGSL in a file of its own. Kernels are made of several; one is the same module wherever it is used. */
export interface WgslModule {
  /** Folder and file name under wgsl/, as `sift/queue`. */
  readonly name: string;
  readonly text: string;
  /** Constants that it needs and does not declare: the assembler puts them in front. */
  readonly constants: readonly string[];
}

/** Lines at a file's head that name the constants it needs: `// Constants: HEADS, LANES`. */
const CONSTANTS = /^\/\/ Constants: (.+)$/gm;

/** A module, with the needs that its head states. */
export function wgslModule(name: string, text: string): WgslModule {
  const constants = [...text.matchAll(CONSTANTS)].flatMap(([, names]) => names!.split(', '));
  return { name, text, constants };
}
