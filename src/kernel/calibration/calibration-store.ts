import { isDense, type ThresholdPolicy } from '../../policy/index.ts';
import type { AttentionEncoder } from '../step/encoder.ts';
import { policyKernels } from '../step/step-kinds.ts';
import { assemble } from '../text/assemble.ts';
import { kernelOf } from '../text/kernels.ts';
import { type Calibration, type Choice, calibrate, siftedWorkgroups, withWorkgroups } from './calibrate.ts';
import { asRecord, isFinal, revise } from './record.ts';
import { sharedValue } from './shared-store.ts';

/** What is used, and where it comes from. */
export interface KnownCalibration extends Choice {
  /** `measured` in this page or process, or `remembered` from an earlier load of a page or worker. */
  source: 'measured' | 'remembered';
}

/** The version of the stored records. Another version has other keys. */
const VERSION = 2;

/** The calibrations of each device that are measured or being measured, by their key. */
const known = new WeakMap<GPUDevice, Map<string, Promise<KnownCalibration>>>();

/**
 * The calibration of an encoder. It is measured once for each device, shape, element type, KV layout and
 * policy; what a policy learns makes no difference. What was measured is shared with all pages and workers of
 * the origin, and with their later loads (`revise` has the rule).
 *
 * It never rejects. What cannot be measured stays dense, with the default numbers of workgroups.
 *
 * @param pageSize keys of a page, if the encoder's cache is paged
 */
export function calibration(
  encoder: AttentionEncoder,
  policy: ThresholdPolicy,
  pageSize?: number,
): Promise<KnownCalibration> {
  const { device } = encoder.resources;
  const onDevice = known.get(device) ?? new Map<string, Promise<KnownCalibration>>();
  known.set(device, onDevice);
  const key = calibrationKey(encoder, policy, pageSize);
  const found = onDevice.get(key) ?? find(encoder, policy, pageSize, key);
  onDevice.set(key, found);
  return found;
}

/** @internal Forgets what was measured on a device in this page. What is stored stays. */
export function forgetCalibrations(device: GPUDevice): void {
  known.delete(device);
}

/** Sets an encoder's `siftFrom` and numbers of workgroups as calibrated. */
export function applyCalibration(encoder: AttentionEncoder, policy: ThresholdPolicy, found: Choice): void {
  encoder.tuning = withWorkgroups(encoder.tuning, policy, found);
  encoder.siftFrom = found.siftFrom;
}

/** The stored calibration if it is final, or else a measurement, in the light of what is stored. */
async function find(
  encoder: AttentionEncoder,
  policy: ThresholdPolicy,
  pageSize: number | undefined,
  key: string,
): Promise<KnownCalibration> {
  const before = asRecord(await sharedValue(key));
  if (before && isFinal(before, Date.now())) return { ...before.choice, source: 'remembered' };
  let measured: Calibration;
  try {
    measured = await calibrate(encoder, policy, pageSize, undefined, before?.choice);
  } catch {
    if (before) return { ...before.choice, source: 'remembered' };
    const { workgroups, [siftedWorkgroups(policy)]: siftWorkgroups } = encoder.tuning;
    const nothing = { siftFrom: Number.POSITIVE_INFINITY, samples: [], milliseconds: 0 };
    return { ...nothing, workgroups, siftWorkgroups, source: 'measured' };
  }
  const revised = revise(before, measured, Date.now());
  let found = revised;
  await sharedValue(key, (stored) => {
    const other = asRecord(stored);
    // Another page or worker has measured meanwhile. The first to write decides, so that all use the same. What
    // was measured here was not measured in the light of that, and is dropped.
    if (other && other.date !== before?.date) found = other;
    return found;
  });
  const isNew = found === revised && found.choice.samples !== before?.choice.samples;
  return { ...found.choice, source: isNew ? 'measured' : 'remembered' };
}

/** @internal The key of a record: all that the times depend on, but the driver. */
export function calibrationKey(
  encoder: AttentionEncoder,
  policy: ThresholdPolicy,
  pageSize: number | undefined,
): string {
  const { device } = encoder.resources;
  // Older browsers tell nothing about the adapter.
  const info: Partial<GPUAdapterInfo> = device.adapterInfo ?? {};
  const { vendor, architecture, device: chip, description } = info;
  const { queryHeads, kvHeads, headSize, dtype } = encoder.shape;
  // What a policy learns, and from how many steps, does not change how long a step takes.
  const { name, target, axis, exponent, warmup, refitEvery, guard, ...judging } = policy;
  return JSON.stringify([
    VERSION,
    [vendor, architecture, chip, description],
    [queryHeads, kvHeads, headSize, dtype, pageSize ?? null],
    isDense(policy) ? 'dense' : judging,
    encoder.tuning,
    textHash(encoder, policy),
  ]);
}

/** A hash (FNV-1a) of the texts of the kernels that a policy uses, which changes with them. */
function textHash({ shape, variant }: AttentionEncoder, policy: ThresholdPolicy): string {
  let value = 0x811c9dc5;
  for (const name of policyKernels(policy, shape, variant.subgroupSize > 0)) {
    const text = assemble(kernelOf(name, variant, shape), shape, variant);
    for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return (value >>> 0).toString(16);
}
