/**
 * Parts that the programs of a runtime play in decode attention. An attention is either `attend`, `reduce`, or `scores`, `values`, `reduce`,
 * one right after the other.
 *
 * - `attend`: scores, softmax and weighted sums of a tile of keys
 * - `scores`, `values`: the same in two programs
 * - `reduce`: merges the tiles into the output
 * - `copy`: appends new rows to the KV cache. It tells which layer an attention belongs to.
 */
export type ProgramRole = 'attend' | 'scores' | 'values' | 'reduce' | 'copy';

/** A storage buffer of a program. */
export interface BindingPattern {
  /** WGSL type with the element type written `T`: f32 or f16. */
  type: string;
  access: 'read' | 'read_write';
  /** Some programs of this kind do not have it. */
  optional?: true;
}

/** How one program of a runtime is recognised. */
export interface ProgramPattern {
  /** Label of its shader module. */
  label: string;
  role: ProgramRole;
  /** Storage bindings by name: no others may be there. */
  bindings: Readonly<Record<string, BindingPattern>>;
  /** Fields of the uniform struct that must be there, with their types; undefined if its uniforms do not matter. */
  uniforms: Readonly<Record<string, string>> | undefined;
  /** Fields that may be there. Any other must be a number, and 0 in each dispatch that is taken over. */
  optionalUniforms?: Readonly<Record<string, string>>;
  /** Text that must not occur in the WGSL, and what it means. */
  forbidden: readonly { pattern: RegExp; reason: string }[];
}

/** What the decode attention of a runtime looks like: data, in patches/. */
export interface RuntimePatch {
  runtime: string;
  programs: readonly ProgramPattern[];
  /** Labels of programs that have a part in attention of another form: the first of each such attention, and why it is not taken over. */
  otherForms: Readonly<Record<string, string>>;
  /** What a binding that no pattern has means to a user. */
  knownExtras: Readonly<Record<string, string>>;
  /** What a binding's type means, where it is not the pattern's. */
  knownTypes: Readonly<Record<string, string>>;
  /** Versions that the tests ran on, by the interface that their first program had: see `interfaceOf`. */
  tested: Readonly<Record<string, readonly string[]>>;
}
