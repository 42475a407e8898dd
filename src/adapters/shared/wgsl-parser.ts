import type { WgslReflect } from 'wgsl_reflect';

/** The WGSL parser, loaded when the plugin is enabled: the runtime's WGSL arrives in synchronous calls. */
export type WgslParser = typeof WgslReflect;

export async function loadParser(): Promise<WgslParser> {
  return (await import('wgsl_reflect')).WgslReflect;
}
