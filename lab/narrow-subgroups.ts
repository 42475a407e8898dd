// ONNX Runtime's attention for prompts of 32 tokens or more is wrong on subgroups of fewer than 8 lanes, such as the 4 of SwiftShader:
// each position sees only the first 4 keys of every 16. Shorter prompts take the decode kernel, which is right. There are two ways
// around the fault.

/** The fewest lanes with which the runtime's attention for prompts is right. */
const ENOUGH_LANES = 8;

/**
 * Hides the feature `subgroups` of adapters whose subgroups are too narrow. Without it the runtime takes a path through workgroup
 * memory, which is right. It must be called before the runtime asks for an adapter.
 */
export function hideNarrowSubgroups(): void {
  if (typeof GPUAdapter === 'undefined') return;
  const property = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, 'features');
  const read = property?.get;
  if (!read) return;
  // `features` is a getter: an interception stands in front of methods only.
  Object.defineProperty(GPUAdapter.prototype, 'features', {
    ...property,
    get(this: GPUAdapter): ReadonlySet<string> {
      const features: ReadonlySet<string> = read.call(this);
      const lanes = this.info.subgroupMinSize;
      if (!features.has('subgroups') || lanes === undefined || lanes >= ENOUGH_LANES) return features;
      return new Set([...features].filter((name) => !name.startsWith('subgroup')));
    },
  });
}

/** How many tokens of a prompt may run at once on a device: 31 where its subgroups are too narrow, else any number. */
export const promptChunk = (device: GPUDevice): number =>
  device.features.has('subgroups') && (device.adapterInfo.subgroupMinSize ?? ENOUGH_LANES) < ENOUGH_LANES
    ? 31
    : Number.POSITIVE_INFINITY;
