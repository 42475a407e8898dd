import type { DType } from '../../kernel/shape.ts';
import { readDeclarations, type WgslDeclarations } from '../shared/wgsl-declarations.ts';
import type { BindingPattern, ProgramPattern, ProgramRole, RuntimePatch } from './patch.ts';

/** A runtime program that was recognised: where its buffers and uniforms are. */
export interface MatchedProgram {
  role: ProgramRole;
  dtype: DType;
  /** Storage binding numbers by name. */
  bindings: Readonly<Record<string, number>>;
  /** Binding number of the uniform buffer, or -1 if it has none. */
  uniformBinding: number;
  /** Byte offsets of the uniforms by name. */
  uniforms: Readonly<Record<string, { offset: number; type: string }>>;
  /** Names of the uniforms that the pattern does not have. While they are 0, they are taken to change nothing. */
  unknownUniforms: readonly string[];
  /** Names of all that it binds: the same for all programs of a kind that one version of the runtime makes. */
  interface: string;
}

/** A runtime program with a known label that is left alone, and why. */
export interface RejectedProgram {
  /** `otherForm`: the program begins an attention that has other programs altogether. */
  role: ProgramRole | 'otherForm';
  reason: string;
}

export type Program = MatchedProgram | RejectedProgram;

export function isMatched(program: Program): program is MatchedProgram {
  return 'bindings' in program;
}

/** Where the first program of an attention has its window among its uniforms, in bytes; undefined if windows are none of them. */
export function windowOffset({ uniforms, unknownUniforms }: MatchedProgram): number | undefined {
  return unknownUniforms.includes('local_window_size') ? undefined : uniforms.local_window_size?.offset;
}

/** Why an attention is left alone that begins with an indirect dispatch of a program; undefined if none begins with it. */
export function indirectReason(program: Program | undefined): string | undefined {
  if (program?.role !== 'attend' && program?.role !== 'scores') return undefined;
  return isMatched(program)
    ? 'the runtime dispatches its attention indirectly, as it does for graph capture'
    : program.reason;
}

/**
 * Recognises a shader module of the runtime. Bindings and uniforms are found by name, never by position.
 * @returns undefined if the label is none of the patch's.
 */
export function matchProgram(patch: RuntimePatch, label: string, code: string): Program | undefined {
  if (Object.hasOwn(patch.otherForms, label)) return { role: 'otherForm', reason: patch.otherForms[label]! };
  const pattern = patch.programs.find((each) => each.label === label);
  if (!pattern) return undefined;
  const { role } = pattern;
  try {
    const result = matchPattern(readDeclarations(code), pattern, patch, code);
    return typeof result === 'string' ? { role, reason: result } : { role, ...result };
  } catch (error) {
    const message = error instanceof Error ? error.message : error;
    return { role, reason: `the WGSL of ${label} was not understood (${message})` };
  }
}

type Match = Omit<MatchedProgram, 'role'>;

function matchPattern(
  declared: WgslDeclarations,
  pattern: ProgramPattern,
  patch: RuntimePatch,
  code: string,
): Match | string {
  const bound = matchBindings(declared, pattern, patch);
  if (typeof bound === 'string') return bound;
  const uniforms = matchUniforms(declared, pattern);
  if (typeof uniforms === 'string') return uniforms;
  const [override] = declared.overrides;
  // What copies only tells which layer an attention belongs to, and its uniforms do not matter either.
  if (override !== undefined && pattern.uniforms)
    return `${pattern.label} has the constant "${override}", whose value its text does not tell`;
  const forbidden = pattern.forbidden.find(({ pattern: text }) => text.test(code));
  if (forbidden) return forbidden.reason;
  return { ...bound, ...uniforms, interface: interfaceOf(pattern.label, declared) };
}

function matchBindings(
  { storage }: WgslDeclarations,
  { label, bindings: wanted }: ProgramPattern,
  { knownExtras, knownTypes }: RuntimePatch,
): Pick<Match, 'bindings' | 'dtype'> | string {
  let dtype: DType | undefined;
  const bindings: Record<string, number> = {};
  for (const { name, type, access, group, binding } of storage) {
    const expected = Object.hasOwn(wanted, name) ? wanted[name]! : undefined;
    if (!expected)
      return Object.hasOwn(knownExtras, name)
        ? knownExtras[name]!
        : `${label} has an unknown binding "${name}"`;
    const element = elementOf(type, expected);
    if (element === undefined || group !== 0)
      return knownTypes[`${name}: ${type}`] ?? `${label}: "${name}" is ${type}, not ${expected.type}`;
    if (access !== expected.access) return `${label}: "${name}" is ${access}, not ${expected.access}`;
    if (element !== null) dtype ??= element;
    if (element !== null && element !== dtype) return `${label} mixes ${dtype} and ${element}`;
    if (name in bindings) return `${label} has two bindings "${name}"`;
    bindings[name] = binding;
  }
  const missing = Object.keys(wanted).find((name) => !wanted[name]!.optional && !(name in bindings));
  if (missing) return `${label} has no binding "${missing}"`;
  if (new Set(Object.values(bindings)).size < storage.length)
    return `${label} binds two buffers in one place`;
  return { bindings, dtype: dtype ?? 'f32' };
}

/** The element type that makes a binding's type the pattern's; null if the pattern names none, undefined if it does not match. */
function elementOf(type: string, pattern: BindingPattern): DType | null | undefined {
  if (!pattern.type.includes('T')) return type === pattern.type ? null : undefined;
  return (['f32', 'f16'] as const).find((element) => pattern.type.replace('T', element) === type);
}

function matchUniforms(
  { uniforms: declared }: WgslDeclarations,
  { label, uniforms: wanted, optionalUniforms = {} }: ProgramPattern,
): Pick<Match, 'uniforms' | 'uniformBinding' | 'unknownUniforms'> | string {
  if (declared.length > 1 || declared.some(({ group }) => group !== 0))
    return `${label} has ${declared.length} uniform buffers`;
  const [buffer] = declared;
  const fields = buffer?.fields ?? [];
  const uniforms = Object.fromEntries(fields.map(({ name, ...field }) => [name, field]));
  if (Object.keys(uniforms).length < fields.length) return `${label} has two uniforms of one name`;
  for (const [name, type] of Object.entries(wanted ?? {})) {
    if (!Object.hasOwn(uniforms, name)) return `${label} has no uniform "${name}"`;
    if (uniforms[name]!.type !== type)
      return `${label}: the uniform "${name}" is ${uniforms[name]!.type}, not ${type}`;
  }
  const unknownUniforms: string[] = [];
  for (const [name, { type }] of Object.entries(wanted ? uniforms : {})) {
    if (Object.hasOwn(wanted!, name)) continue;
    if (Object.hasOwn(optionalUniforms, name) && optionalUniforms[name] === type) continue;
    // Only a number can be seen to be 0.
    if (!SCALARS.has(type)) return `${label} has an unknown uniform "${name}: ${type}"`;
    unknownUniforms.push(name);
  }
  return { uniforms, unknownUniforms, uniformBinding: buffer?.binding ?? -1 };
}

const SCALARS: ReadonlySet<string> = new Set(['u32', 'i32', 'f32']);

/** What a program binds, by name; the types are the pattern's. */
function interfaceOf(label: string, { storage, uniforms }: WgslDeclarations): string {
  const names = (all: readonly { name: string }[]) =>
    all
      .map(({ name }) => name)
      .sort()
      .join(' ');
  return `${label}: ${names(storage)}; ${names(uniforms.flatMap(({ fields }) => fields))}`;
}
