import type { TypeInfo, VariableInfo, WgslReflect } from 'wgsl_reflect';
import type { DType } from '../../kernel/shape.ts';
import type { WgslParser } from '../shared/wgsl-parser.ts';
import type { ProgramPattern, ProgramRole, RuntimePatch } from './patch.ts';

/** A runtime program that was recognised: where its buffers and uniforms are. */
export interface MatchedProgram {
  role: ProgramRole;
  dtype: DType;
  /** Storage binding numbers by name. */
  bindings: Readonly<Record<string, number>>;
  /** Binding number of the uniform buffer, or -1 if it has none. */
  uniformBinding: number;
  /** Byte offsets of the uniforms by name. */
  uniforms: Readonly<Record<string, { offset: number; type: 'u32' | 'f32' }>>;
}

/** A runtime program with a known label that is left alone, and why. */
export interface RejectedProgram {
  role: ProgramRole;
  reason: string;
}

export type Program = MatchedProgram | RejectedProgram;

export function isMatched(program: Program): program is MatchedProgram {
  return 'bindings' in program;
}

function typeName(type: TypeInfo): string {
  const inner = (type as { format?: TypeInfo | null }).format;
  return inner ? `${type.name}<${typeName(inner)}>` : type.name;
}

/**
 * Recognises a shader module of the runtime. Bindings and uniforms are found by name, never by position.
 * @returns undefined if the label is none of the patch's.
 */
export function matchProgram(
  Parser: WgslParser,
  patch: RuntimePatch,
  label: string,
  code: string,
): Program | undefined {
  const entry = Object.entries(patch.programs).find(([, pattern]) => pattern.label === label);
  if (!entry) return undefined;
  const role = entry[0] as ProgramRole;
  const pattern = entry[1];
  try {
    const reflect = new Parser(code);
    const result = matchPattern(reflect, pattern, patch, code);
    return typeof result === 'string' ? { role, reason: result } : { role, ...result };
  } catch (error) {
    return {
      role,
      reason: `the WGSL of ${label} could not be parsed (${error instanceof Error ? error.message : error})`,
    };
  }
}

function matchPattern(
  reflect: WgslReflect,
  pattern: ProgramPattern,
  patch: RuntimePatch,
  code: string,
): Omit<MatchedProgram, 'role'> | string {
  const forbidden = pattern.forbidden.find(({ pattern: text }) => text.test(code));
  if (forbidden) return forbidden.reason;
  const storage = new Map(
    reflect.storage.map((variable): [string, VariableInfo] => [variable.name, variable]),
  );
  for (const name of storage.keys()) {
    if (!(name in pattern.bindings))
      return patch.knownExtras[name] ?? `${pattern.label} has an unknown binding "${name}"`;
  }
  let dtype: DType | undefined;
  const bindings: Record<string, number> = {};
  for (const [name, wanted] of Object.entries(pattern.bindings)) {
    const variable = storage.get(name);
    if (!variable) return `${pattern.label} has no binding "${name}"`;
    const found = typeName(variable.type);
    const type = (['f32', 'f16'] as const).find((t) => wanted.type.replace('T', t) === found);
    if (!type || variable.group !== 0) return `${pattern.label}: "${name}" is ${found}, not ${wanted.type}`;
    if (variable.access !== wanted.access)
      return `${pattern.label}: "${name}" is ${variable.access}, not ${wanted.access}`;
    if (wanted.type.includes('T')) {
      dtype ??= type;
      if (dtype !== type) return `${pattern.label} mixes ${dtype} and ${type}`;
    }
    bindings[name] = variable.binding;
  }
  const uniform = reflect.uniforms[0];
  const uniforms: MatchedProgram['uniforms'] = Object.fromEntries(
    (uniform?.members ?? []).map((m) => [m.name, { offset: m.offset, type: m.type.name as 'u32' | 'f32' }]),
  );
  for (const [name, type] of Object.entries(pattern.uniforms)) {
    if (uniforms[name]?.type !== type) return `${pattern.label} has no ${type} uniform "${name}"`;
  }
  return { dtype: dtype ?? 'f32', bindings, uniforms, uniformBinding: uniform?.binding ?? -1 };
}
