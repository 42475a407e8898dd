/** What changes the speed of the kernels, not their results. */
export interface Tuning {
  /** Invocations of a workgroup of the kernels that read K rows. */
  flashWorkgroup: number;
  /** Invocations of a workgroup of the one-pass kernel. */
  siftWorkgroup: number;
  /** Invocations of a workgroup of the gather. */
  gatherWorkgroup: number;
  /** Rows that neighbouring lanes of the gather read at a time. */
  gatherUnroll: number;
  /** Keys that an invocation of the gather judges at a time. */
  gatherKeys: number;
  /** Invocations of a workgroup of the combine. */
  combineWorkgroup: number;
  /** Workgroups of the combine, at most, unless there are more heads: where there are fewer, they share a head. */
  combineWorkgroups: number;
  /** Invocations of a workgroup that finds the exact threshold of a head; with subgroups. */
  learnWorkgroup: number;
  /** Scores that each of them holds, in eights. */
  learnHeld: number;
  /** Rows that neighbouring lanes read at a time: loads in flight. 1, 2, 4 or 8. */
  unroll: number;
  /** The same of the scores kernel. */
  scoresUnroll: number;
  /** The same of the one-pass kernel. */
  siftUnroll: number;
  /** Screen K in f16 in the one-pass kernel, where the device has shader-f16. */
  half: boolean;
  /** Compute scores of much probability again even where K is screened in f32: for tests on devices without shader-f16. */
  refine: boolean;
  /** Leave the first and the newest keys to splits of their own in the one-pass kernel: for devices that run many workgroups at a time. */
  edgeApart: boolean;
  /** Unroll the marked loops of the WGSL text. */
  unrolled: boolean;
  /** Workgroups in flight that keep the device busy; more only adds partial results. */
  workgroups: number;
  /** The same for the one-pass kernel. */
  siftWorkgroups: number;
  /** Fewer keys than this do not pay for a workgroup. */
  minChunk: number;
}

export const DEFAULT_TUNING: Tuning = {
  flashWorkgroup: 128,
  siftWorkgroup: 128,
  gatherWorkgroup: 128,
  gatherUnroll: 8,
  gatherKeys: 2,
  combineWorkgroup: 128,
  combineWorkgroups: 128,
  learnWorkgroup: 256,
  learnHeld: 4,
  unroll: 8,
  scoresUnroll: 8,
  siftUnroll: 8,
  half: true,
  refine: false,
  edgeApart: true,
  unrolled: true,
  workgroups: 528,
  siftWorkgroups: 528,
  minChunk: 128,
};

/** A processor that stands in for a GPU: it runs few lanes at a time, and compiling long programs takes it seconds. */
const SOFTWARE_TUNING: Tuning = {
  ...DEFAULT_TUNING,
  edgeApart: false,
  unrolled: false,
  unroll: 4,
  scoresUnroll: 4,
  siftUnroll: 4,
  gatherUnroll: 4,
  siftWorkgroup: 64,
  workgroups: 4,
  siftWorkgroups: 4,
  combineWorkgroup: 64,
  combineWorkgroups: 16,
  learnWorkgroup: 64,
  learnHeld: 2,
};

/** The tuning of a device. */
export function tuningOf(device: GPUDevice): Tuning {
  const info = device.adapterInfo as GPUAdapterInfo | undefined;
  const software =
    info?.isFallbackAdapter || /swiftshader|llvmpipe/i.test(`${info?.architecture} ${info?.description}`);
  if (software) return SOFTWARE_TUNING;
  // Elsewhere it was not measured, and on Metal a kernel of many registers may not run in workgroups as large as the limit.
  const { maxComputeInvocationsPerWorkgroup: most, maxComputeWorkgroupSizeX: wide } = device.limits;
  const large = info?.vendor === 'nvidia' && Math.min(most, wide) >= 1024;
  // A workgroup must hold whole subgroups.
  return {
    ...DEFAULT_TUNING,
    learnWorkgroup: large ? 1024 : DEFAULT_TUNING.learnWorkgroup,
    siftWorkgroup: Math.max(DEFAULT_TUNING.siftWorkgroup, info?.subgroupMaxSize ?? 0),
  };
}
