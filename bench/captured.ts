import { WgslReflect } from 'wgsl_reflect';

/** A binding of a captured program. */
export interface CapturedBinding {
  binding: number;
  name: string;
  access: 'uniform' | 'read' | 'read_write';
  /** Bytes that were bound. */
  bytes: number;
  /** What a uniform buffer held. */
  uniform: Uint8Array<ArrayBuffer> | undefined;
}

/** A program as the runtime compiled it. */
export interface Compiled {
  label: string;
  code: string;
  constants: Record<string, number>;
}

/** A dispatch of the runtime, as plain data. */
export interface CapturedProgram extends Compiled {
  workgroups: readonly [number, number, number];
  bindings: CapturedBinding[];
}

/** Names what a dispatch binds after the variables of its WGSL, and copies its uniforms. */
export function captureDispatch(
  program: Compiled,
  group: readonly GPUBindGroupEntry[],
  workgroups: readonly [number, number, number],
  uniforms: { get(buffer: object): Uint8Array<ArrayBuffer> | undefined },
): CapturedProgram {
  const reflect = new WgslReflect(program.code);
  const bindings = group.map(({ binding, resource }): CapturedBinding => {
    const { buffer, size } = (
      resource instanceof GPUBuffer ? { buffer: resource } : resource
    ) as GPUBufferBinding;
    const storage = reflect.storage.find((v) => v.binding === binding);
    const uniform = reflect.uniforms.find((v) => v.binding === binding);
    return {
      binding,
      name: (storage ?? uniform)?.name ?? `binding ${binding}`,
      access: uniform ? 'uniform' : storage?.access === 'read_write' ? 'read_write' : 'read',
      bytes: size ?? buffer.size,
      uniform: uniform && uniforms.get(buffer)?.slice(),
    };
  });
  return { ...program, workgroups, bindings };
}
