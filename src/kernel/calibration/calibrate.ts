import { isDense, planStep, type ThresholdPolicy } from '../../policy/index.ts';
import type { AttentionEncoder } from '../step/encoder.ts';
import { CalibrationInputs, measuringPolicy, memoryLength } from './calibration-inputs.ts';
import { type CrossoverSample, clearlyApart, crossover, SHORTEST, sampleOf } from './crossover.ts';
import { StepTimer } from './step-timer.ts';

/** What was measured of one shape's kernels on one device. Changes their speed alone. */
export interface Calibration {
  /** Keys from which a step sifts; Infinity: none that was measured, or is near, gains by it. */
  siftFrom: number;
  workgroups: number;
  siftWorkgroups: number;
  samples: CrossoverSample[];
  /** What measuring took. */
  milliseconds: number;
  /** The times of one length were near each other: nothing else ran beside. */
  steady: boolean;
}

/** Milliseconds that measuring may take. A call that has begun is waited for. */
export const CALIBRATION_BUDGET = 300;

/** Share of the budget for the numbers of workgroups, of what is left after the first look. */
const TUNING_SHARE = 0.4;
/** The long ones close together: from two of them the lines may have to be drawn on. */
const LENGTHS = [SHORTEST, 4096, 16384, 32768, 65536, 131072];
/** Milliseconds of work in one sample, where a call is not longer: clocks of pages tick every 0.1. */
const SAMPLE = 3;
const MAX_CALLS = 64;
const ROUNDS = 5;
/** Times the default number of workgroups. */
const FACTORS = [0.25, 0.5, 2];
/** What another number of workgroups must gain, as a share of the time; and how often it must be quicker. */
const GAIN = 0.04;
const CONFIRMATIONS = 4;

type Kind = 'dense' | 'sift';

/**
 * Measures from which length on sifting is faster than our dense kernel, and how many workgroups each needs, on rows drawn at random of
 * which a sifted step reads 15% of V.
 *
 * @param pageSize keys of a page where the encoder's cache is paged
 */
export async function calibrate(
  encoder: AttentionEncoder,
  policy: ThresholdPolicy,
  pageSize?: number,
  budget = CALIBRATION_BUDGET,
): Promise<Calibration> {
  const measured = new Measurement(encoder, policy, pageSize, budget);
  return measured.run();
}

class Measurement {
  private readonly started = performance.now();
  private readonly timer: StepTimer;
  private readonly kinds: readonly Kind[];
  private steady = true;
  /** Milliseconds of a call at the length measured last. */
  private readonly known: Record<Kind, { length: number; time: number }> = {
    dense: { length: 0, time: 0 },
    sift: { length: 0, time: 0 },
  };

  constructor(
    private readonly encoder: AttentionEncoder,
    private readonly policy: ThresholdPolicy,
    private readonly pageSize: number | undefined,
    private readonly budget: number,
  ) {
    this.timer = new StepTimer(encoder.resources.device);
    this.kinds = isDense(policy) ? ['dense'] : ['dense', 'sift'];
  }

  async run(): Promise<Calibration> {
    const { encoder } = this;
    const before = { siftFrom: encoder.siftFrom, tuning: encoder.tuning };
    encoder.siftFrom = 0;
    const samples: CrossoverSample[] = [];
    try {
      const limit = memoryLength(encoder.resources.device, encoder.shape);
      const within = LENGTHS.filter((length) => length <= limit);
      const lengths = within.length > 0 ? within : [limit];
      await this.firstLook(lengths[0]!);
      const variants = FACTORS.length + 1;
      const longest = lengths.filter((length) => this.fits(length, variants, TUNING_SHARE)).at(-1);
      if (longest !== undefined) await this.tune(longest);
      if (this.kinds.length > 1) samples.push(...(await this.compareAll(lengths)));
      const { workgroups, siftWorkgroups } = encoder.tuning;
      return {
        siftFrom: this.kinds.length > 1 ? crossover(samples) : 0,
        workgroups,
        siftWorkgroups,
        samples,
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

  private left(): number {
    return this.budget - (performance.now() - this.started);
  }

  /** Milliseconds that a call should take, at most: shorter lengths have launches in it that longer ones do not have more of. */
  private expected(kind: Kind, length: number): number {
    const { length: at, time } = this.known[kind];
    return time * Math.max(1, length / at);
  }

  /** Whether `variants` of each kind, twice each, can be measured in a share of what is left. */
  private fits(length: number, variants: number, share: number): boolean {
    return 2 * variants * this.round(length) <= share * this.left();
  }

  /** One call of each kind twice, so that the pipelines are ready and their speed is roughly known. */
  private async firstLook(length: number): Promise<void> {
    await this.on(length, async (inputs) => {
      for (const kind of [...this.kinds, ...this.kinds]) {
        if (this.known[kind].length > 0 && this.left() < this.known[kind].time) continue;
        this.known[kind] = { length, time: await this.sample(inputs, kind, 1) };
      }
    });
  }

  /** The number of workgroups of each kind, among a few around the default. */
  private async tune(length: number): Promise<void> {
    const { encoder } = this;
    const names = { dense: 'workgroups', sift: 'siftWorkgroups' } as const;
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
          const count = Math.max(1, Math.round(factor * usual));
          const candidate = Math.min(await time(count), await time(count));
          if (candidate < (1 - GAIN) * best.time) Object.assign(best, { count, time: candidate });
        }
        // Chosen by mistake, a number costs far more than the right one gains.
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

  /** Whether a change gains every time it is tried against what is usual. */
  private async confirmed(usual: () => Promise<number>, changed: () => Promise<number>): Promise<boolean> {
    for (let i = 0; i < CONFIRMATIONS; i++) {
      if (this.left() < 0 || (await changed()) > (1 - GAIN) * (await usual())) return false;
    }
    return true;
  }

  /**
   * From the longest length that there is time for downwards, until sifting is slower: what lies below is dense in any case. Where it is
   * slower at the longest, the next one shows where that leads.
   */
  private async compareAll(lengths: readonly number[]): Promise<CrossoverSample[]> {
    const cost = (i: number) => (i < 0 ? 0 : 2 * this.round(lengths[i]!));
    let longest = lengths.length - 1;
    while (longest > 0 && cost(longest) + cost(longest - 1) > this.left()) longest--;
    const samples: CrossoverSample[] = [];
    for (let i = longest; i >= 0; i--) {
      const sample = await this.compare(lengths[i]!);
      if (sample) samples.unshift(sample);
      else if (samples.length > 0) break;
      if (samples.length > 1 && samples[0]!.sift > samples[0]!.dense) break;
    }
    const { dense, sift } = this.known;
    if (samples.length === 0 && sift.length > 0) {
      // A slow device, or a busy one: the first look must do.
      this.steady = false;
      samples.push({ length: sift.length, dense: 1000 * dense.time, sift: 1000 * sift.time });
    }
    return samples;
  }

  /** Milliseconds that one sample of each kind takes. */
  private round(length: number): number {
    return this.kinds.reduce((sum, kind) => sum + Math.max(SAMPLE, this.expected(kind, length)), 0);
  }

  /** Both kinds in turns at one length; undefined if that takes too long, or the memory is not there. */
  private async compare(length: number): Promise<CrossoverSample | undefined> {
    const times: Record<Kind, number[]> = { dense: [], sift: [] };
    if (2 * this.round(length) > this.left()) return undefined;
    await this.on(length, async (inputs) => {
      for (let i = 0; i < ROUNDS; i++) {
        // At least two, and time for the next length.
        if (i >= 2 && 3 * this.round(length) > this.left()) break;
        if (i >= 3 && clearlyApart(times.dense, times.sift)) break;
        // As many of each, so that what a pass costs beside them cancels.
        const calls = Math.min(...this.kinds.map((kind) => this.calls(kind, length)));
        for (const kind of i % 2 ? [...this.kinds].reverse() : this.kinds) {
          const time = await this.sample(inputs, kind, calls);
          times[kind].push(time);
          this.known[kind] = { length, time };
        }
      }
    });
    if (times.sift.length < 2) return undefined;
    const { sample, steady } = sampleOf(length, times.dense, times.sift);
    this.steady &&= steady;
    return sample;
  }

  private calls(kind: Kind, length: number): number {
    return Math.min(MAX_CALLS, Math.max(1, Math.round(SAMPLE / this.expected(kind, length))));
  }

  /** Makes inputs of a length for `work`; without the memory for them there is no work. */
  private async on(length: number, work: (inputs: CalibrationInputs) => Promise<void>): Promise<void> {
    const { encoder, policy, pageSize } = this;
    const inputs = await CalibrationInputs.create(encoder, measuringPolicy(policy), length, pageSize);
    if (!inputs) return;
    try {
      await work(inputs);
    } finally {
      inputs.destroy();
    }
  }

  /** Milliseconds of a call, from a pass of `calls` of them. */
  private async sample(inputs: CalibrationInputs, kind: Kind, calls: number): Promise<number> {
    // The second step: no moments of V are taken.
    const plan = { ...planStep(inputs.policy, 2), dense: kind === 'dense' };
    const step = inputs.prepare(plan);
    const time = await this.timer.time((pass) => {
      for (let call = 0; call < calls; call++) inputs.encode(pass, step, call);
    });
    return time / calls;
  }
}
