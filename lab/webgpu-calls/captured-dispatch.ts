import { readDeclarations } from '../../src/adapters/shared/wgsl-declarations.ts';

/** A binding of a captured dispatch. */
export interface CapturedBinding {
  binding: number;
  name: string;
  access: 'uniform' | 'read' | 'read_write';
  /** Bytes that were bound. */
  bytes: number;
  /** What a uniform buffer held. */
  uniform: Uint8Array<ArrayBuffer> | undefined;
}

/** A program as it was compiled. */
export interface CompiledProgram {
  label: string;
  code: string;
  constants: Record<string, number>;
}

/** A dispatch as plain data. */
export interface CapturedDispatch extends CompiledProgram {
  workgroups: readonly [number, number, number];
  bindings: CapturedBinding[];
}

/** Names what a dispatch binds after the variables of its WGSL, and copies its uniforms. */
export function captureDispatch(
  program: CompiledProgram,
  group: readonly GPUBindGroupEntry[],
  workgroups: readonly [number, number, number],
  uniforms: { of(buffer: GPUBuffer): DataView | undefined },
): CapturedDispatch {
  const declared = readDeclarations(program.code);
  const bindings = group.map(({ binding, resource }): CapturedBinding => {
    const { buffer, size } = (
      resource instanceof GPUBuffer ? { buffer: resource } : resource
    ) as GPUBufferBinding;
    const storage = declared.storage.find((v) => v.binding === binding);
    const uniform = declared.uniforms.find((v) => v.binding === binding);
    const contents = uniform && uniforms.of(buffer);
    return {
      binding,
      name: (storage ?? uniform)?.name ?? `binding ${binding}`,
      access: uniform ? 'uniform' : storage?.access === 'read_write' ? 'read_write' : 'read',
      bytes: size ?? buffer.size,
      uniform: contents && new Uint8Array(contents.buffer.slice(0) as ArrayBuffer),
    };
  });
  return { ...program, workgroups, bindings };
}
