import { compilePipeline } from '../gpu/compile.ts';
import type { AttentionShape } from '../shape.ts';
import { assemble, modulesOf } from '../text/assemble.ts';
import { kernelConstants } from '../text/constants.ts';
import type { Kernel, KernelName } from '../text/kernel.ts';
import { kernelOf } from '../text/kernels.ts';
import { loadTexts } from '../text/later.ts';
import { BUFFERS, type BufferName, bindGroupEntries } from '../text/schema.ts';
import type { KernelVariant } from '../text/variant.ts';

/** A number for the name of every buffer, so that bindings are looked up by index. */
export const BUFFER_SLOT = Object.fromEntries(Object.keys(BUFFERS).map((name, i) => [name, i])) as Record<
  BufferName,
  number
>;

/** A kernel compiled on a device. */
export interface CompiledKernel {
  readonly kernel: Kernel;
  /** The constants it was compiled with. */
  readonly constants: ReturnType<typeof kernelConstants>;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** The `BUFFER_SLOT` of its buffers, in the order of its bindings. */
  readonly slots: readonly number[];
}

/** The compiled kernels that a policy uses, by name. */
export type KernelSet = Readonly<Partial<Record<KernelName, CompiledKernel>>>;

/** The kernels of each device that are compiled or being compiled, by what they were assembled for. */
const compiled = new WeakMap<GPUDevice, Map<string, Promise<CompiledKernel>>>();

/**
 * Compiles kernels of a shape and a variant. A device compiles each of them once; one that it rejected is
 * tried again at the next call.
 *
 * @throws {SiftError} `SELF_TEST_FAILED` if the device rejects a kernel, with the compiler's messages; `UNSUPPORTED_RUNTIME` if its text cannot
 *   be loaded.
 */
export async function compileKernels(
  device: GPUDevice,
  shape: AttentionShape,
  variant: KernelVariant,
  names: readonly KernelName[],
): Promise<KernelSet> {
  const known = compiled.get(device) ?? new Map<string, Promise<CompiledKernel>>();
  compiled.set(device, known);
  const { kv, ...numbers } = variant;
  const entries = names.map(async (name) => {
    const key = `${name} ${kv.name} ${JSON.stringify([shape, numbers])}`;
    const kernel = known.get(key) ?? compile(device, kernelOf(name, variant, shape), shape, variant);
    known.set(key, kernel);
    kernel.catch(() => known.delete(key));
    return [name, await kernel] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function compile(
  device: GPUDevice,
  kernel: Kernel,
  shape: AttentionShape,
  variant: KernelVariant,
): Promise<CompiledKernel> {
  const label = `sift ${kernel.name}`;
  await loadTexts(modulesOf(kernel, shape, variant));
  const layout = device.createBindGroupLayout({ label, entries: bindGroupEntries(kernel.buffers) });
  const pipeline = await compilePipeline(device, kernel.name, assemble(kernel, shape, variant), layout);
  const slots = kernel.buffers.map(({ name }) => BUFFER_SLOT[name]);
  return { kernel, constants: kernelConstants(kernel, shape, variant), pipeline, layout, slots };
}
