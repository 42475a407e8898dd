import type { SiftError } from '../../errors.ts';
import { isDense, planStep, type ThresholdPolicy } from '../../policy/index.ts';
import { destroyAll, type Owned } from '../gpu/allocate.ts';
import type { AttentionEncoder } from '../step/encoder.ts';
import type { Tuning } from '../step/tuning.ts';
import { CalibrationInputs, measuringPolicy, memoryLength } from './calibration-inputs.ts';
import {
  type CrossoverSample,
  clearlyApart,
  crossover,
  type LengthTimes,
  SHORTEST,
  sampleOf,
} from './crossover.ts';
import { StepTimer } from './step-timer.ts';

/** The number of workgroups of the dense and of the sifted steps' kernel, as in `Tuning`. */
export interface Workgroups {
  workgroups: number;
  siftWorkgroups: number;
}

/**
 * What a calibration chooses for the kernels of a shape on a device. It changes how fast they are, and nothing
 * else.
 */
export interface Choice extends Workgroups {
  /**
   * Keys from which a step sifts. Infinity: sifting is not faster at any length that was measured or is near.
   */
  siftFrom: number;
  /** The times that `siftFrom` follows from. */
  samples: CrossoverSample[];
  /** How long measuring took. */
  milliseconds: number;
}

/** A choice, and the measurement that it was made by. */
export interface Calibration extends Choice {
  /** All times that were measured, in ascending order of their lengths. The samples are made of them. */
  times: LengthTimes[];
  /**
   * Whether the times of each length were near each other, as they are if nothing else runs on the machine.
   */
  steady: boolean;
}

/** Milliseconds that measuring may take. A pass that has begun is waited for in addition. */
export const CALIBRATION_BUDGET = 300;

/** Share for the numbers of workgroups, of the time that is left after the first look. */
const TUNING_SHARE = 0.4;
/** Keys. The long lengths are only a factor of two apart, because lines may be extended from two of them. */
const LENGTHS = [SHORTEST, 4096, 16384, 32768, 65536, 131072];
/** Milliseconds of work in one sample, unless one call is longer. The clock of a page ticks every 0.1. */
const SAMPLE = 3;
/** The most calls in a sample. */
const MAX_CALLS = 64;
/** The most samples of each kind at one length. */
const ROUNDS = 5;
/** The numbers of workgroups to try, relative to the default. */
const FACTORS = [0.25, 0.5, 1, 2];
/** The share of the time that another number of workgroups must save. */
const GAIN = 0.04;
/** How often in a row it must save that against the usual number. */
const CONFIRMATIONS = 4;

type Kind = 'dense' | 'sift';

/** Where the tuning has the number of workgroups of a policy's sifted steps. */
export function siftedWorkgroups({ keys }: ThresholdPolicy): 'siftWorkgroups' | 'shadowWorkgroups' {
  return keys === 'shadow' ? 'shadowWorkgroups' : 'siftWorkgroups';
}

/** A tuning with other numbers of workgroups, for the kernels that a policy uses. */
export function withWorkgroups(
  tuning: Tuning,
  policy: ThresholdPolicy,
  { workgroups, siftWorkgroups }: Workgroups,
): Tuning {
  return { ...tuning, workgroups, [siftedWorkgroups(policy)]: siftWorkgroups };
}

/**
 * Measures from which length on sifting is faster than our dense kernel, and how many workgroups each of them
 * should have. It measures on random rows, of which a sifted step reads 15% of V. The encoder is left as it
 * was.
 *
 * @param policy the policy whose kernels are measured; the encoder must have been made for it
 * @param pageSize keys of a page, if the encoder's cache is paged
 * @param budget milliseconds that measuring may take
 * @param usual the numbers of workgroups that stay unless others are clearly better; default: the encoder's
 * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
 */
export async function calibrate(
  encoder: AttentionEncoder,
  policy: ThresholdPolicy,
  pageSize?: number,
  budget = CALIBRATION_BUDGET,
  usual?: Workgroups,
): Promise<Calibration> {
  const timer = await StepTimer.create(encoder.resources.device);
  return new Measurement(encoder, policy, pageSize, budget, timer).run(usual);
}

/** One calibration in progress. */
class Measurement {
  private readonly started = performance.now();
  private readonly kinds: readonly Kind[];
  private steady = true;
  /** For each kind, the length that was measured last, and the milliseconds of a call there. */
  private readonly known: Record<Kind, { length: number; time: number }> = {
    dense: { length: 0, time: 0 },
    sift: { length: 0, time: 0 },
  };

  constructor(
    private readonly encoder: AttentionEncoder,
    private readonly policy: ThresholdPolicy,
    private readonly pageSize: number | undefined,
    private readonly budget: number,
    private readonly timer: StepTimer,
  ) {
    this.kinds = isDense(policy) ? ['dense'] : ['dense', 'sift'];
  }

  async run(usual?: Workgroups): Promise<Calibration> {
    const { encoder } = this;
    const before = { siftFrom: encoder.siftFrom, tuning: encoder.tuning };
    encoder.siftFrom = 0;
    if (usual) encoder.tuning = withWorkgroups(before.tuning, this.policy, usual);
    const times: LengthTimes[] = [];
    try {
      const limit = memoryLength(encoder.resources.device, encoder.shape);
      const within = LENGTHS.filter((length) => length <= limit);
      const lengths = within.length > 0 ? within : [limit];
      await this.firstLook(lengths[0]!);
      const longest = lengths.filter((length) => this.fits(length, FACTORS.length, TUNING_SHARE)).at(-1);
      if (longest !== undefined) await this.tune(longest, before.tuning);
      if (this.kinds.length > 1) times.push(...(await this.compareAll(lengths)));
      const samples = times.map((each) => sampleOf(each).sample);
      const { workgroups, [siftedWorkgroups(this.policy)]: siftWorkgroups } = encoder.tuning;
      return {
        siftFrom: this.kinds.length > 1 ? crossover(samples) : 0,
        workgroups,
        siftWorkgroups,
        samples,
        times,
        milliseconds: performance.now() - this.started,
        steady: this.steady,
      };
    } finally {
      encoder.siftFrom = before.siftFrom;
      encoder.tuning = before.tuning;
      encoder.resources.scratch.collect();
      this.timer.destroy();
    }
  }

  /** Milliseconds that are left of the budget. */
  private left(): number {
    return this.budget - (performance.now() - this.started);
  }

  /**
   * Milliseconds that a call should take at most. Below the length measured last it may take as long, since
   * the time of its launches does not shrink.
   */
  private expected(kind: Kind, length: number): number {
    const { length: at, time } = this.known[kind];
    return time * Math.max(1, length / at);
  }

  /**
   * Whether there is time to measure `variants` settings of each kind, twice each, in a share of what is
   * left.
   */
  private fits(length: number, variants: number, share: number): boolean {
    return 2 * variants * this.round(length) <= share * this.left();
  }

  /**
   * Measures one call of each kind twice, so that the pipelines are ready and their speed is roughly known.
   */
  private async firstLook(length: number): Promise<void> {
    await this.on(length, async (inputs) => {
      for (const kind of [...this.kinds, ...this.kinds]) {
        if (this.known[kind].length > 0 && this.left() < this.known[kind].time) continue;
        this.known[kind] = { length, time: await this.sample(inputs, kind, 1) };
      }
    });
  }

  /**
   * Chooses the number of workgroups of each kind, among a few around the device's default. The encoder's own
   * stays unless another is clearly better.
   */
  private async tune(length: number, defaults: Tuning): Promise<void> {
    const { encoder } = this;
    const names = { dense: 'workgroups', sift: siftedWorkgroups(this.policy) } as const;
    const chosen = { ...encoder.tuning };
    await this.on(length, async (inputs) => {
      for (const kind of this.kinds) {
        const name = names[kind];
        const usual = chosen[name];
        const calls = this.calls(kind, length);
        const time = (count: number) => {
          encoder.tuning = { ...chosen, [name]: count };
          return this.sample(inputs, kind, calls);
        };
        const best = { count: usual, time: await time(usual) };
        this.known[kind] = { length, time: best.time };
        for (const factor of FACTORS) {
          const count = Math.max(1, Math.round(factor * defaults[name]));
          if (count === usual) continue;
          const candidate = Math.min(await time(count), await time(count));
          if (candidate < (1 - GAIN) * best.time) Object.assign(best, { count, time: candidate });
        }
        // A wrong number costs far more than the right one gains, hence the confirmation.
        if (
          best.count !== usual &&
          (await this.confirmed(
            () => time(usual),
            () => time(best.count),
          ))
        )
          chosen[name] = best.count;
      }
    });
    encoder.tuning = chosen;
  }

  /** Whether a change saves time against the usual number every time it is tried. */
  private async confirmed(usual: () => Promise<number>, changed: () => Promise<number>): Promise<boolean> {
    for (let i = 0; i < CONFIRMATIONS; i++) {
      if (this.left() < 0 || (await changed()) > (1 - GAIN) * (await usual())) return false;
    }
    return true;
  }

  /**
   * Compares dense and sifted steps, from the longest length that there is time for downwards. It stops where
   * sifting is slower, since shorter steps are dense in any case. If sifting is slower at the longest length,
   * the next shorter one shows whether it would gain at longer ones.
   */
  private async compareAll(lengths: readonly number[]): Promise<LengthTimes[]> {
    const cost = (i: number) => (i < 0 ? 0 : 2 * this.round(lengths[i]!));
    let longest = lengths.length - 1;
    while (longest > 0 && cost(longest) + cost(longest - 1) > this.left()) longest--;
    const all: LengthTimes[] = [];
    for (let i = longest; i >= 0; i--) {
      const times = await this.compare(lengths[i]!);
      if (times) all.unshift(times);
      else if (all.length > 0) break;
      else continue;
      const { sample, steady } = sampleOf(times);
      this.steady &&= steady;
      if (all.length > 1 && sample.sift > sample.dense) break;
    }
    const { dense, sift } = this.known;
    if (all.length === 0 && sift.length > 0) {
      // The device is slow or busy. The first look is all there is.
      this.steady = false;
      all.push({ length: sift.length, dense: [1000 * dense.time], sift: [1000 * sift.time] });
    }
    return all;
  }

  /** Milliseconds that one sample of every kind should take. */
  private round(length: number): number {
    return this.kinds.reduce((sum, kind) => sum + Math.max(SAMPLE, this.expected(kind, length)), 0);
  }

  /** Measures both kinds in turns at one length. Undefined if there is not the time or the memory. */
  private async compare(length: number): Promise<LengthTimes | undefined> {
    const times: LengthTimes = { length, dense: [], sift: [] };
    if (2 * this.round(length) > this.left()) return undefined;
    await this.on(length, async (inputs) => {
      for (let i = 0; i < ROUNDS; i++) {
        // Each kind is measured at least twice, and time must be left for the next length.
        if (i >= 2 && 3 * this.round(length) > this.left()) break;
        if (i >= 3 && clearlyApart(times.dense, times.sift)) break;
        // Both kinds have as many calls, so that the time that a pass takes besides cancels.
        const calls = Math.min(...this.kinds.map((kind) => this.calls(kind, length)));
        for (const kind of i % 2 ? [...this.kinds].reverse() : this.kinds) {
          const time = await this.sample(inputs, kind, calls);
          times[kind].push(1000 * time);
          this.known[kind] = { length, time };
        }
      }
    });
    return times.sift.length < 2 ? undefined : times;
  }

  /** Calls in one sample. */
  private calls(kind: Kind, length: number): number {
    return Math.min(MAX_CALLS, Math.max(1, Math.round(SAMPLE / this.expected(kind, length))));
  }

  /** Makes inputs of a length and does `work` on them. Without the memory for them, the work is left out. */
  private async on(length: number, work: (inputs: CalibrationInputs) => Promise<void>): Promise<void> {
    const { encoder, policy, pageSize } = this;
    const owned: Owned = [];
    try {
      const inputs = await CalibrationInputs.create(
        encoder,
        measuringPolicy(policy),
        length,
        pageSize,
        owned,
      );
      // The shadows are encoded before anything is timed.
      if (policy.keys === 'shadow') await this.sample(inputs, 'sift', inputs.count);
      await work(inputs);
    } catch (error) {
      if ((error as SiftError).code !== 'OUT_OF_MEMORY') throw error;
    } finally {
      destroyAll(owned);
    }
  }

  /** Milliseconds of a call, measured over a pass of `calls` of them. */
  private async sample(inputs: CalibrationInputs, kind: Kind, calls: number): Promise<number> {
    // It is planned as the second step, which does not measure moments.
    const plan = { ...planStep(inputs.policy, 2), dense: kind === 'dense' };
    await inputs.reserve(plan);
    const step = inputs.prepare(plan);
    const time = await this.timer.time((pass) => {
      for (let call = 0; call < calls; call++) inputs.encode(pass, step, call);
    });
    return time / calls;
  }
}
