import { isDense, type ThresholdPolicy } from '../../policy/index.ts';
import type { AttentionEncoder } from '../step/encoder.ts';
import { policyKernels } from '../step/step-kinds.ts';
import { assemble } from '../text/assemble.ts';
import { kernelOf } from '../text/kernels.ts';
import { type Calibration, calibrate, siftedWorkgroups } from './calibrate.ts';

/** A calibration, and where it comes from. */
export interface KnownCalibration extends Calibration {
  /** `measured` in this page or process, or `remembered` from an earlier load of a page. */
  source: 'measured' | 'remembered';
}

/** The version of the stored records. Records of another version are not used. */
const VERSION = 1;
const PREFIX = 'sift-attention/calibration/';
/** Milliseconds after which a record is not used any more, because drivers and browsers change. */
const MAX_AGE = 30 * 24 * 3600 * 1000;

/** The calibrations of each device that are measured or being measured, by their key. */
const known = new WeakMap<GPUDevice, Map<string, Promise<KnownCalibration>>>();

/**
 * The calibration of an encoder. It is measured once for each device, shape, element type, KV layout and
 * policy; what a policy learns makes no difference. Where there is a `localStorage`, which workers lack, it
 * is measured once for all loads of a page.
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
  const key = keyOf(encoder, policy, pageSize);
  const found = onDevice.get(key) ?? find(encoder, policy, pageSize, key);
  onDevice.set(key, found);
  return found;
}

/** @internal Stores a calibration for the next load of the page. */
export function storeCalibration(
  encoder: AttentionEncoder,
  policy: ThresholdPolicy,
  { siftFrom, workgroups, siftWorkgroups, samples, milliseconds, steady }: Calibration,
): void {
  remember(keyOf(encoder, policy, undefined), {
    siftFrom,
    workgroups,
    siftWorkgroups,
    samples,
    milliseconds,
    steady,
  });
}

/** @internal Forgets what was measured on a device in this page. What is stored stays. */
export function forgetCalibrations(device: GPUDevice): void {
  known.delete(device);
}

/** Sets an encoder's `siftFrom` and numbers of workgroups as calibrated. */
export function applyCalibration(
  encoder: AttentionEncoder,
  policy: ThresholdPolicy,
  found: Calibration,
): void {
  const { workgroups, siftWorkgroups, siftFrom } = found;
  encoder.tuning = { ...encoder.tuning, workgroups, [siftedWorkgroups(policy)]: siftWorkgroups };
  encoder.siftFrom = siftFrom;
}

/** The stored calibration, or else a new one. */
async function find(
  encoder: AttentionEncoder,
  policy: ThresholdPolicy,
  pageSize: number | undefined,
  key: string,
): Promise<KnownCalibration> {
  const stored = recall(key);
  if (stored) return { ...stored, source: 'remembered' };
  try {
    const measured = await calibrate(encoder, policy, pageSize);
    // A record that is not steady is not stored, so that later loads of the page measure again.
    if (measured.steady) remember(key, measured);
    return { ...measured, source: 'measured' };
  } catch {
    const { workgroups, [siftedWorkgroups(policy)]: siftWorkgroups } = encoder.tuning;
    const nothing = { siftFrom: Number.POSITIVE_INFINITY, samples: [], milliseconds: 0, steady: false };
    return { ...nothing, workgroups, siftWorkgroups, source: 'measured' };
  }
}

/** All that the times depend on, but the driver. */
function keyOf(encoder: AttentionEncoder, policy: ThresholdPolicy, pageSize: number | undefined): string {
  const { device } = encoder.resources;
  const { vendor, architecture, device: chip, description } = device.adapterInfo;
  const { queryHeads, kvHeads, headSize, dtype } = encoder.shape;
  // What a policy learns, and from how many steps, does not change how long a step takes.
  const { name, target, axis, exponent, warmup, refitEvery, guard, ...judging } = policy;
  return JSON.stringify([
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

/** A calibration as it is stored. JSON has no Infinity, hence null. */
interface Stored extends Omit<Calibration, 'siftFrom'> {
  version: number;
  date: number;
  siftFrom: number | null;
}

function storage(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    // The page has no origin, or storage is switched off.
    return undefined;
  }
}

function recall(key: string): Calibration | undefined {
  try {
    const text = storage()?.getItem(PREFIX + key);
    if (!text) return undefined;
    const { version, date, ...found } = JSON.parse(text) as Stored;
    const { workgroups, siftWorkgroups, samples } = found;
    const usable =
      version === VERSION &&
      Date.now() - date < MAX_AGE &&
      [workgroups, siftWorkgroups].every((count) => Number.isInteger(count) && count > 0) &&
      (found.siftFrom === null || found.siftFrom >= 0) &&
      Array.isArray(samples);
    return usable ? { ...found, siftFrom: found.siftFrom ?? Number.POSITIVE_INFINITY } : undefined;
  } catch {
    return undefined;
  }
}

function remember(key: string, found: Calibration): void {
  try {
    const siftFrom = Number.isFinite(found.siftFrom) ? found.siftFrom : null;
    const stored: Stored = { ...found, siftFrom, version: VERSION, date: Date.now() };
    storage()?.setItem(PREFIX + key, JSON.stringify(stored));
  } catch {
    // Storage is full or not allowed. The next load measures again.
  }
}
