/** A resource that a WGSL program binds. */
export interface WgslBinding {
  name: string;
  group: number;
  binding: number;
  /** Aliases are resolved, and short names written out: `array<vec4<f32>>`. */
  type: string;
}

/** A storage buffer. */
export interface WgslStorage extends WgslBinding {
  access: 'read' | 'write' | 'read_write';
}

/** A field of a uniform buffer. */
export interface WgslField {
  name: string;
  type: string;
  /** Bytes from the beginning of the buffer. */
  offset: number;
}

/** A uniform buffer. */
export interface WgslUniform extends WgslBinding {
  /** The fields of its struct; a buffer of one value has one field of its own name. */
  fields: WgslField[];
}

/** What a WGSL program declares at module scope, as far as it is needed to bind it. */
export interface WgslDeclarations {
  storage: WgslStorage[];
  uniforms: WgslUniform[];
  /** Names of the constants that a pipeline gives values to: the text alone does not tell these. */
  overrides: string[];
}

interface Member {
  name: string;
  type: string;
  align: number | undefined;
  size: number | undefined;
}

/**
 * Reads the resources that a WGSL program binds, and nothing of its functions.
 *
 * A parser of the whole language is ten times the size of the plugin's adapters. These declarations have a narrow grammar, and whatever does
 * not fit in it is an error: the program is then left alone.
 *
 * @throws {Error} says which declaration was not understood
 */
export function readDeclarations(code: string): WgslDeclarations {
  const text = withoutComments(code);
  const types = new TypeReader(text);
  const storage: WgslStorage[] = [];
  const uniforms: WgslUniform[] = [];
  for (const [declaration, attributes, template, name, type] of matches(
    text,
    /((?:@\w+\s*(?:\([^()]*\)\s*)?)*)\bvar\s*<([^<>]*)>\s*(\w+)\s*:\s*([^;=]+);/g,
  )) {
    const [space, access = 'read'] = template!.split(',').map((part) => part.trim());
    if (space !== 'storage' && space !== 'uniform') continue;
    const bound = {
      name: name!,
      group: attribute(attributes!, 'group', declaration!),
      binding: attribute(attributes!, 'binding', declaration!),
      type: types.resolve(type!),
    };
    if (space === 'uniform') uniforms.push({ ...bound, fields: types.fieldsOf(bound) });
    else if (access === 'read' || access === 'write' || access === 'read_write')
      storage.push({ ...bound, access });
    else throw new Error(`the access of "${declaration!.trim()}" is not known`);
  }
  const count = (pattern: RegExp) => matches(text, pattern).length;
  const known = storage.length + uniforms.length;
  if (count(/\bvar\s*<\s*(?:storage|uniform)\b/g) !== known)
    throw new Error('a buffer is declared in an unknown form');
  if (count(/@\s*binding\b/g) !== known) throw new Error('something else than buffers is bound');
  const overrides = matches(text, /\boverride\s+(\w+)/g).map(([, name]) => name!);
  return { storage, uniforms, overrides };
}

function matches(text: string, pattern: RegExp): string[][] {
  return [...text.matchAll(pattern)].map((match) => [...match]);
}

/** What ends a line, and with it a comment (WGSL, "Blankspace and Line Breaks"). */
const LINE_BREAK = /[\n\v\f\r\u0085\u2028\u2029]/;

/** Comments become spaces; block comments may be nested. */
function withoutComments(code: string): string {
  let result = '';
  let depth = 0;
  for (let i = 0; i < code.length; i++) {
    const two = code.slice(i, i + 2);
    if (two === '/*') {
      depth++;
      i++;
    } else if (depth > 0) {
      if (two !== '*/') continue;
      depth--;
      i++;
      result += ' ';
    } else if (two === '//') {
      while (i < code.length && !LINE_BREAK.test(code[i]!)) i++;
      result += '\n';
    } else result += code[i];
  }
  return result;
}

function attribute(attributes: string, name: string, declaration: string): number {
  const found = new RegExp(`@${name}\\s*\\(\\s*(\\d+)[ui]?\\s*\\)`).exec(attributes);
  if (!found) throw new Error(`"${declaration.trim()}" has no ${name} in numbers`);
  return Number(found[1]);
}

/** `vec4f` and its like. */
const SHORT = { f: 'f32', h: 'f16', i: 'i32', u: 'u32' } as const;

class TypeReader {
  private readonly aliases: ReadonlyMap<string, string>;
  private readonly constants: ReadonlyMap<string, string>;
  private readonly structs: ReadonlyMap<string, string>;

  constructor(text: string) {
    const named = (pattern: RegExp) =>
      new Map(matches(text, pattern).map(([, name, value]) => [name!, value!.trim()]));
    this.aliases = named(/\balias\s+(\w+)\s*=\s*([^;]+);/g);
    this.constants = named(/\bconst\s+(\w+)\s*(?::\s*\w+\s*)?=\s*(\d+)[ui]?\s*;/g);
    this.structs = named(/\bstruct\s+(\w+)\s*\{([^{}]*)\}/g);
  }

  /** A type without aliases, spaces and short names. */
  resolve(type: string, depth = 0): string {
    if (depth > 16) throw new Error(`the type "${type}" is defined by itself`);
    return type.replace(/\s+/g, '').replace(/\w+/g, (word) => {
      const short = /^(vec[234]|mat[234]x[234])([fhiu])$/.exec(word);
      if (short) return `${short[1]}<${SHORT[short[2] as keyof typeof SHORT]}>`;
      const alias = this.aliases.get(word);
      if (alias !== undefined) return this.resolve(alias, depth + 1);
      return this.constants.get(word) ?? word.replace(/^(\d+)[ui]$/, '$1');
    });
  }

  fieldsOf({ name, type }: WgslBinding): WgslField[] {
    const body = this.structs.get(type);
    if (body === undefined) return [{ name, type, offset: 0 }];
    let end = 0;
    return members(body, type).map((member) => {
      const resolved = this.resolve(member.type);
      const layout = layoutOf(resolved);
      const align = member.align ?? layout.align;
      const offset = Math.ceil(end / align) * align;
      end = offset + (member.size ?? layout.size);
      return { name: member.name, type: resolved, offset };
    });
  }
}

function members(body: string, struct: string): Member[] {
  // A comma within < > or ( ) belongs to the member.
  const parts = body.match(/(?:[^,<>()]|<(?:[^<>]|<[^<>]*>)*>|\([^()]*\))+/g) ?? [];
  return parts
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const match = /^((?:@\w+\s*\(\s*\d+[ui]?\s*\)\s*)*)(\w+)\s*:\s*([\w<>,\s]+)$/.exec(part);
      if (!match) throw new Error(`the member "${part}" of struct ${struct} was not understood`);
      const [, attributes, name, type] = match;
      const number = (key: string) => {
        const found = new RegExp(`@${key}\\s*\\(\\s*(\\d+)`).exec(attributes!);
        return found ? Number(found[1]) : undefined;
      };
      const unknown = matches(attributes!, /@(\w+)/g).find(([, key]) => key !== 'align' && key !== 'size');
      if (unknown) throw new Error(`@${unknown[1]} in struct ${struct} was not understood`);
      return { name: name!, type: type!, align: number('align'), size: number('size') };
    });
}

const SCALAR_BYTES: ReadonlyMap<string, number> = new Map([
  ['u32', 4],
  ['i32', 4],
  ['f32', 4],
  ['f16', 2],
]);

/** Alignment and size of a type in a uniform buffer (WGSL, "Alignment and Size"). */
function layoutOf(type: string): { align: number; size: number } {
  const scalar = SCALAR_BYTES.get(type);
  if (scalar) return { align: scalar, size: scalar };
  const vector = /^vec([234])<(\w+)>$/.exec(type);
  const bytes = vector && SCALAR_BYTES.get(vector[2]!);
  if (bytes) {
    const width = Number(vector[1]);
    return { align: (width === 2 ? 2 : 4) * bytes, size: width * bytes };
  }
  const array = /^array<(.+),(\d+)>$/.exec(type);
  if (array) {
    const element = layoutOf(array[1]!);
    const stride = Math.ceil(element.size / element.align) * element.align;
    return { align: element.align, size: stride * Number(array[2]) };
  }
  throw new Error(`the layout of "${type}" is not known`);
}
