import { SiftError } from '../errors.ts';
import { CONTIGUOUS_KV, KV_BINDING, type KvLayout } from './kv-layout.ts';
import type { AttentionShape } from './shape.ts';
import { type Tuning, tuningOf } from './tuning.ts';
import {
  assemble,
  type BindingKind,
  figureKeepers,
  type KernelName,
  type KernelSource,
  kernelSources,
  knownSplits,
  type Target,
} from './wgsl.ts';

/** A compiled kernel and the layout of its one bind group. */
export interface Kernel {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
}

/** The compiled kernels of one shape on one device; `dense` and `denseLearn` only where there are subgroups. */
export type Kernels = Readonly<Partial<Record<KernelName, Kernel>>> & {
  /** Splits of the one-pass kernel beside those that share the keys (`planSplits`). */
  readonly knownSplits: number;
  /** Workgroups of combine beside those of the outputs after a sifted step. */
  readonly figureKeepers: number;
};

const BUFFER_TYPE: Record<BindingKind, GPUBufferBindingLayout> = {
  params: { type: 'uniform', hasDynamicOffset: true, minBindingSize: 64 },
  read: { type: 'read-only-storage' },
  write: { type: 'storage' },
};

/**
 * Whether the subgroup kernels may be used: the feature is on, and every subgroup size the adapter may choose is a power
 * of two that divides the workgroup (so that no subgroup is partly filled).
 */
export function canUseSubgroups(device: GPUDevice): boolean {
  const info = device.adapterInfo as GPUAdapterInfo | undefined;
  const min = info?.subgroupMinSize ?? 0;
  const max = info?.subgroupMaxSize ?? 0;
  return device.features.has('subgroups') && min >= 4 && max <= 128 && (max & (max - 1)) === 0;
}

/** Binding numbers and kinds of a kernel, those of the KV layout last. */
function bindingsOf(
  { bindings, usesKv }: KernelSource,
  kv: KvLayout,
): [binding: number, kind: BindingKind][] {
  const extra = usesKv ? kv.bindings : 0;
  return [
    ...bindings.map((kind, i): [number, BindingKind] => [i, kind]),
    ...Array.from({ length: extra }, (_, i): [number, BindingKind] => [KV_BINDING + i, 'read']),
  ];
}

async function compile(
  device: GPUDevice,
  name: KernelName,
  source: KernelSource,
  shape: AttentionShape,
  target: Target,
): Promise<Kernel> {
  const label = `sift ${name}`;
  const layout = device.createBindGroupLayout({
    label,
    entries: bindingsOf(source, target.kv ?? CONTIGUOUS_KV).map(([binding, kind]) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: BUFFER_TYPE[kind],
    })),
  });
  const module = device.createShaderModule({ label, code: assemble(name, shape, target) });
  try {
    const pipeline = await device.createComputePipelineAsync({
      label,
      layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    });
    return { pipeline, layout };
  } catch (cause) {
    const { messages } = await module.getCompilationInfo();
    const errors = messages
      .filter((m) => m.type === 'error')
      .map((m) => `${m.lineNum}:${m.linePos} ${m.message}`);
    throw new SiftError(
      'SELF_TEST_FAILED',
      `The ${name} kernel does not compile on this device: ${errors.join('; ') || String(cause)}`,
      { cause },
    );
  }
}

/** Kernels compiled so far, by device and by shape. */
const compiled = new WeakMap<GPUDevice, Map<string, Promise<Kernels>>>();

/**
 * The kernels of a shape, compiled once per device.
 * @throws {SiftError} `SELF_TEST_FAILED` if the device rejects a kernel, with the compiler's messages.
 */
export function createKernels(
  device: GPUDevice,
  shape: AttentionShape,
  subgroups: boolean,
  kv: KvLayout = CONTIGUOUS_KV,
  tuning: Tuning = tuningOf(device),
): Promise<Kernels> {
  const known = compiled.get(device) ?? new Map<string, Promise<Kernels>>();
  compiled.set(device, known);
  const { queryHeads, kvHeads, headSize, dtype } = shape;
  const subgroupSize = subgroups ? device.adapterInfo.subgroupMinSize : 0;
  const key = JSON.stringify([queryHeads, kvHeads, headSize, dtype, subgroupSize, kv.name, tuning]);
  const half = tuning.half && dtype === 'f16' && device.features.has('shader-f16');
  const kernels = known.get(key) ?? compileAll(device, shape, { subgroupSize, half, kv, tuning });
  known.set(key, kernels);
  return kernels;
}

async function compileAll(device: GPUDevice, shape: AttentionShape, target: Target): Promise<Kernels> {
  const sources = Object.entries(kernelSources(target)) as [KernelName, KernelSource][];
  const list = await Promise.all(
    sources.map(async ([name, source]) => [name, await compile(device, name, source, shape, target)]),
  );
  return {
    ...Object.fromEntries(list),
    knownSplits: knownSplits(shape, target),
    figureKeepers: figureKeepers(shape, target),
  } as Kernels;
}
