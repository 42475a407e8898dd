/**
 * Hides the feature `subgroups` of adapters whose subgroups may have fewer than 8 lanes, such as SwiftShader's
 * with 4. ONNX Runtime's attention for prompts of 32 tokens or more is wrong on them: each position sees only the
 * first 4 keys of every 16. Without the feature it takes a path through workgroup memory, which is right.
 * Call it before the runtime asks for an adapter.
 */
export function hideNarrowSubgroups(): void {
  if (typeof GPUAdapter === 'undefined') return;
  const property = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, 'features');
  const read = property?.get;
  if (!read) return;
  Object.defineProperty(GPUAdapter.prototype, 'features', {
    ...property,
    get(this: GPUAdapter): ReadonlySet<string> {
      const features: ReadonlySet<string> = read.call(this);
      const lanes = this.info.subgroupMinSize;
      if (!features.has('subgroups') || lanes === undefined || lanes >= 8) return features;
      return new Set([...features].filter((name) => !name.startsWith('subgroup')));
    },
  });
}
