/** Parts that the programs of decode attention play. */
export type ProgramRole = 'attend' | 'reduce' | 'copy';

export interface BindingPattern {
  /** WGSL type with the element type written `T`. */
  type: string;
  access: 'read' | 'read_write';
}

/** How one program of a runtime build is recognised. */
export interface ProgramPattern {
  /** Label of its shader module. */
  label: string;
  /** Storage bindings by name: all of them. */
  bindings: Readonly<Record<string, BindingPattern>>;
  /** Fields of the uniform struct that are used. */
  uniforms: Readonly<Record<string, 'u32' | 'f32'>>;
  /** Text that must not occur in the WGSL, and what it means. */
  forbidden: readonly { pattern: RegExp; reason: string }[];
}

/** What the decode attention of a runtime build looks like: data, one file per build in patches/. */
export interface RuntimePatch {
  runtime: string;
  /** Versions that the end-to-end tests ran on. Others are taken over if their programs match and the self-test passes. */
  testedVersions: readonly string[];
  programs: Readonly<Record<ProgramRole, ProgramPattern>>;
  knownExtras: Readonly<Record<string, string>>;
}
