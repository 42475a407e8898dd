import {
  type ChatPipeline,
  findContext,
  type KernelInfo,
  type Launch,
  type WebGpuContext,
} from './engine.ts';
import { matchPaged, type PagedProgram } from './paged-program.ts';
import type { WebLlmPatch } from './patch.ts';

/** Sees a launch; calls `stock` unless it does the work itself. Must not throw of its own accord. */
export type LaunchHandler = (args: readonly number[], stock: Launch) => void;

/**
 * What stands in a library's function table instead of a kernel, for good: the compiled code keeps what it launched first, so that
 * the choice between the runtime's kernel and ours is made here, launch by launch.
 */
export class Trampoline {
  handler: LaunchHandler | undefined;

  constructor(private readonly stock: Launch) {}

  readonly launch: Launch = (...args) => {
    if (this.handler) this.handler(args, this.stock);
    else this.stock(...args);
  };
}

/** The trampolines of a pipeline, registered once in its life. */
export interface Registration {
  context: WebGpuContext;
  program: PagedProgram;
  attention: Trampoline;
  /** Of the kernel that appends K and V, if the library has it: it tells how many layers there are. */
  append: Trampoline | undefined;
}

const registered = new WeakMap<ChatPipeline, Registration>();

/**
 * Puts the trampolines into a pipeline's model library. In time if the model has not decoded since it was loaded.
 * @returns the reason if the library is not understood; nothing is changed then.
 * @throws {SiftError} as {@link findContext}.
 */
export function register(pipeline: ChatPipeline, patch: WebLlmPatch): Registration | string {
  const known = registered.get(pipeline);
  if (known) return known;
  const context = findContext(pipeline);
  if (pipeline.slidingWindowSize !== -1)
    return `the model attends in a sliding window of ${pipeline.slidingWindowSize}`;
  const { tvm, vm } = pipeline;
  tvm.beginScope();
  try {
    const library = vm.getInternalModule();
    const map = JSON.parse(String(library.getFunction(patch.functions.map, true)())) as Record<
      string,
      KernelInfo
    >;
    const shader = library.getFunction(patch.functions.shader);
    const update = library.getFunction(patch.functions.register);
    const info = map[patch.attention.kernel];
    if (!info) {
      const others = Object.keys(map).filter((name) => /attention|paged|decode/.test(name));
      return `the model library has no ${patch.attention.kernel} (it has ${others.join(', ') || 'no paged attention'})`;
    }
    const code = String(shader(info.name));
    const program = matchPaged(patch, info, code);
    if (typeof program === 'string') return `${patch.attention.kernel}: ${program}`;
    const attention = new Trampoline(context.createShader(info, code));
    const appendInfo = map[patch.append];
    const append =
      appendInfo && new Trampoline(context.createShader(appendInfo, String(shader(appendInfo.name))));
    update(info.name, attention.launch);
    if (append) update(appendInfo.name, append.launch);
    const registration = { context, program, attention, append };
    registered.set(pipeline, registration);
    return registration;
  } finally {
    tvm.endScope();
  }
}

/** Encodes a compute pass where the runtime's own next pass would go: into its batch, or as a submission of its own. */
export function encodePass(context: WebGpuContext, encode: (pass: GPUComputePassEncoder) => void): void {
  const batched = 'pendingEncoder' in context;
  if (batched) context.pendingEncoder ??= context.device.createCommandEncoder();
  const encoder = context.pendingEncoder ?? context.device.createCommandEncoder();
  const pass = encoder.beginComputePass({ label: 'sift' });
  try {
    encode(pass);
  } finally {
    pass.end();
  }
  if (!batched) context.device.queue.submit([encoder.finish()]);
}
