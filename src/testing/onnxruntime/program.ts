import type { DType } from '../../kernel/shape.ts';

/** A storage buffer that a program declares. */
export interface StandInBinding {
  /** What the host binds here: the name that the runtime's program has for it. */
  role: string;
  /** The name in the text, which is another only in a mutant. */
  name: string;
  type: string;
  access: 'read' | 'read_write';
  binding: number;
  group?: number;
}

/** A field of the uniform buffer. */
export interface StandInField {
  /** Which value the host writes here. */
  role: string;
  name: string;
  type: string;
  /** The attributes `@align` and `@size`, in bytes. */
  align?: number;
  size?: number;
}

/**
 * A program of ours with the interface of one of onnxruntime's, in parts, so that tests can write it in other ways and know what has
 * changed.
 */
export interface StandInProgram {
  label: string;
  dtype: DType;
  /** Tile sizes and the like, by name: declared as `const NAME: u32`. */
  constants: Record<string, number>;
  storage: StandInBinding[];
  uniforms: StandInField[];
  uniformBinding: number;
  /** Declarations at module scope besides the buffers. */
  globals: string[];
  /** The lines of `main`, whose workgroups have `WORKGROUP` invocations. */
  body: string[];
}

/** Storage buffers in the order of their binding numbers, each named as the host knows it. */
export function storageOf(
  ...buffers: [role: string, type: string, access?: 'read_write'][]
): StandInBinding[] {
  return buffers.map(([role, type, access = 'read' as const], binding) => ({
    role,
    name: role,
    type,
    access,
    binding,
  }));
}

/** Fields that are all `u32`, but for those named with another type (`alpha: f32`). */
export function fieldsOf(...fields: string[]): StandInField[] {
  return fields.map((field) => {
    const [name, type = 'u32'] = field.split(': ') as [string, string?];
    return { role: name, name, type };
  });
}

export function bindingText({ name, type, access, binding, group = 0 }: StandInBinding): string {
  return `@group(${group}) @binding(${binding}) var<storage, ${access}> ${name}: ${type};`;
}

export function fieldText({ name, type, align, size }: StandInField): string {
  const attributes = [align && `@align(${align}) `, size && `@size(${size}) `].filter(Boolean).join('');
  return `${attributes}${name}: ${type}`;
}

/** The declarations of a program, each a piece of text that may stand anywhere among the others. */
export function declarationsOf(program: StandInProgram): string[] {
  const { constants, storage, uniforms, uniformBinding, globals } = program;
  return [
    ...Object.entries(constants).map(([name, value]) => `const ${name}: u32 = ${value}u;`),
    ...storage.map(bindingText),
    `struct Uniforms {\n  ${uniforms.map(fieldText).join(',\n  ')}\n};`,
    `@group(0) @binding(${uniformBinding}) var<uniform> uniforms: Uniforms;`,
    ...globals,
  ];
}

/** The WGSL of a program. */
export function textOf(program: StandInProgram, declarations = declarationsOf(program)): string {
  return [
    ...(program.dtype === 'f16' ? ['enable f16;'] : []),
    ...declarations,
    '@compute @workgroup_size(WORKGROUP)',
    'fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {',
    ...program.body.map((line) => `  ${line}`),
    '}',
    '',
  ].join('\n');
}

/** Bytes from one field to the next, for the types that the stand-ins and their mutants have. */
const BYTES: Readonly<Record<string, number>> = { u32: 4, i32: 4, f32: 4, 'vec4<u32>': 16 };

/** Where each field lies, in bytes, and how many the buffer has. */
export function uniformLayout(fields: readonly StandInField[]): { offsets: number[]; bytes: number } {
  let end = 0;
  const offsets = fields.map(({ type, align, size }) => {
    const bytes = BYTES[type] ?? 4;
    const step = align ?? bytes;
    const offset = Math.ceil(end / step) * step;
    end = offset + (size ?? bytes);
    return offset;
  });
  return { offsets, bytes: Math.ceil(end / 16) * 16 };
}

/** The bytes of a uniform buffer. A field whose role has no value stays 0. */
export function uniformBytes(
  fields: readonly StandInField[],
  values: Readonly<Record<string, number>>,
): Uint8Array<ArrayBuffer> {
  const { offsets, bytes } = uniformLayout(fields);
  const data = new DataView(new ArrayBuffer(bytes));
  fields.forEach(({ role, type }, i) => {
    const value = values[role] ?? 0;
    if (type === 'f32') data.setFloat32(offsets[i]!, value, true);
    else data.setUint32(offsets[i]!, value, true);
  });
  return new Uint8Array(data.buffer);
}

/** The layout of a program's bind group: all that it declares, whether or not it is used. */
export function layoutEntries({ storage, uniformBinding }: StandInProgram): GPUBindGroupLayoutEntry[] {
  const visibility = GPUShaderStage.COMPUTE;
  return [
    ...storage.map(({ binding, access }) => ({
      binding,
      visibility,
      buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' } as const,
    })),
    { binding: uniformBinding, visibility, buffer: { type: 'uniform' } },
  ];
}
