/** Numbers that change how fast the kernels are, and their results by no more than rounding. */
export interface Tuning {
  /** Invocations of a workgroup of the dense kernels and, with subgroups, of the scores kernel. */
  denseWorkgroup: number;
  /** Invocations of a workgroup of the sift kernel. */
  siftWorkgroup: number;
  /** Invocations of a workgroup of the gather kernel. */
  gatherWorkgroup: number;
  /** Rows that a slot of the gather kernel reads at a time, as `unroll`. */
  gatherUnroll: number;
  /** Keys that an invocation of the gather kernel judges at a time. */
  gatherKeys: number;
  /** Invocations of a workgroup of the combine and the moments kernels. */
  combineWorkgroup: number;
  /** Workgroups of combine at most, if heads are fewer: then several workgroups share a head. */
  combineWorkgroups: number;
  /**
   * Invocations of a workgroup of the learn kernel, which finds the exact threshold of a head; with
   * subgroups.
   */
  learnWorkgroup: number;
  /** How many times eight scores each of these invocations holds. */
  learnHeld: number;
  /** Rows that a slot of the dense kernels reads at a time, so that loads are in flight: 1, 2, 4 or 8. */
  unroll: number;
  /** The same for the scores kernel. */
  scoresUnroll: number;
  /** The same for the sift kernel. */
  siftUnroll: number;
  /** Exact K and V rows that a slot of the shadow kernel reads at a time, as `unroll`. */
  shadowUnroll: number;
  /** Rows of the shadow that a lane loads at a time, for groups of up to four heads. */
  shadowRows: number;
  /** As `siftWorkgroups`, for the shadow kernel. */
  shadowWorkgroups: number;
  /** Rows that a workgroup of the shadow kernel scans before it reads. Their keys take four bytes each of workgroup memory. */
  shadowRound: number;
  /** The fewest keys of a split of the shadow kernel. */
  shadowChunk: number;
  /** Screen f16 keys in half precision in the sift kernel, where the device has `shader-f16`. */
  half: boolean;
  /**
   * Refine scores of much probability even where K is screened in f32. It is for tests on devices without
   * `shader-f16`.
   */
  refine: boolean;
  /**
   * Give the edge keys splits of their own in the sift kernel. It pays on devices that run many workgroups at
   * a time.
   */
  edgeApart: boolean;
  /** Unroll the marked loops in the WGSL text. */
  unrolled: boolean;
  /** Workgroups that run at a time and keep the device busy. More only leave more splits to merge. */
  workgroups: number;
  /** The same for the sift kernel alone. */
  siftWorkgroups: number;
  /** Keys below which another workgroup does not pay. */
  minChunk: number;
}

/** The tuning of GPUs, measured on the NVIDIA H200 and H100 (docs/lab/kernels.md). */
export const DEFAULT_TUNING: Tuning = {
  denseWorkgroup: 128,
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
  shadowUnroll: 8,
  shadowRows: 2,
  shadowWorkgroups: 396,
  shadowChunk: 384,
  shadowRound: 2048,
  half: true,
  refine: false,
  edgeApart: true,
  unrolled: true,
  workgroups: 528,
  siftWorkgroups: 528,
  minChunk: 128,
};

/**
 * The tuning of software adapters: they run few lanes at a time, and need seconds to compile long programs.
 */
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
  shadowUnroll: 4,
  shadowWorkgroups: 4,
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
  // On other devices 1,024 was not measured. On Metal a kernel with many registers may be limited to
  // workgroups that are smaller than the device's limit.
  const { maxComputeInvocationsPerWorkgroup: most, maxComputeWorkgroupSizeX: wide } = device.limits;
  const large = info?.vendor === 'nvidia' && Math.min(most, wide) >= 1024;
  // A workgroup must have whole subgroups.
  return {
    ...DEFAULT_TUNING,
    learnWorkgroup: large ? 1024 : Math.min(DEFAULT_TUNING.learnWorkgroup, most),
    siftWorkgroup: Math.max(DEFAULT_TUNING.siftWorkgroup, info?.subgroupMaxSize ?? 0),
  };
}
