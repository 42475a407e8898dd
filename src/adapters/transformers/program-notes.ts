import { type Interception, intercept } from '../shared/interception.ts';

/** A shader module as it was created. */
export interface ModuleNotes {
  label: string;
  /** Kept only if the label speaks of attention. */
  code: string | undefined;
}

/** What was seen of the programs of all devices. */
export interface ProgramNotes {
  /** Modules by what they were created from. */
  readonly modules: WeakMap<GPUShaderModule, ModuleNotes>;
  /** The module of each pipeline whose creation was seen. */
  readonly pipelines: WeakMap<GPUComputePipeline, GPUShaderModule>;
}

/** In the realm, not in this module: `sift-attention/register` may come from another bundle than the plugin. */
const KEY = Symbol.for('sift-attention/programs/1');

/** Labels of programs that work on a KV cache. */
const LABELS = /attention|kv/i;

/** The notes of this page or worker. */
export function programNotes(): ProgramNotes {
  const realm = globalThis as { [KEY]?: ProgramNotes };
  realm[KEY] ??= { modules: new WeakMap(), pipelines: new WeakMap() };
  return realm[KEY];
}

/** The methods of a device that create programs. */
type Creates = Pick<GPUDevice, 'createShaderModule' | 'createComputePipeline' | 'createComputePipelineAsync'>;

/**
 * Notes the programs that are created from now on.
 * @param target a device, or `GPUDevice.prototype` for all devices
 */
export function watchPrograms(target: Creates): Interception[] {
  const { modules, pipelines } = programNotes();
  const note = (pipeline: GPUComputePipeline, { compute }: GPUComputePipelineDescriptor) => {
    pipelines.set(pipeline, compute.module);
    return pipeline;
  };
  // Each does its part only while it is active: one that another library has buried may be called together with a newer one.
  return [
    intercept(
      target,
      'createShaderModule',
      (original, it) =>
        function (this: GPUDevice, descriptor) {
          const module = original.call(this, descriptor);
          const { label = '', code } = descriptor;
          if (it.active) modules.set(module, { label, code: LABELS.test(label) ? String(code) : undefined });
          return module;
        },
    ),
    intercept(
      target,
      'createComputePipeline',
      (original, it) =>
        function (this: GPUDevice, descriptor) {
          const pipeline = original.call(this, descriptor);
          return it.active ? note(pipeline, descriptor) : pipeline;
        },
    ),
    intercept(
      target,
      'createComputePipelineAsync',
      (original, it) =>
        async function (this: GPUDevice, descriptor) {
          const pipeline = await original.call(this, descriptor);
          return it.active ? note(pipeline, descriptor) : pipeline;
        },
    ),
  ];
}
