/** A storage binding of the runtime's kernel. `T`: the model's element type, f32 or f16, alone or in vectors. */
export interface PagedBinding {
  element: 'T' | 'f32' | 'i32';
  access: 'read' | 'read_write';
}

/** What web-llm's decode attention looks like, and what the plugin relies on beside it: data, in patches/web-llm.ts. */
export interface WebLlmPatch {
  runtime: string;
  testedVersions: readonly string[];
  /** Members that must be there at run time. Of a list in brackets, one is enough: the first that is there is used. */
  members: {
    engine: readonly string[];
    pipeline: readonly (string | readonly string[])[];
    context: readonly string[];
  };
  /** Functions of a model library. */
  functions: { map: string; shader: string; register: string };
  attention: {
    kernel: string;
    bindings: Readonly<Record<string, PagedBinding>>;
    /** Fields of the uniform struct that are understood; any other makes the kernel an unknown one. */
    scalars: readonly string[];
    forbidden: readonly { pattern: RegExp; reason: string }[];
  };
  /** The kernel that appends a token's K and V: launched once by every layer with a paged cache. */
  append: string;
}
