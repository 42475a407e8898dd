import { SiftError } from '../../errors.ts';
import { allocate, type Owned } from '../../kernel/gpu/allocate.ts';
import { OutputComparison } from '../../kernel/proof/output-comparison.ts';
import { type AttentionShape, type DType, describeShape } from '../../kernel/shape.ts';
import {
  type AttentionEncoder,
  createStepResources,
  destroyStepResources,
  type LayerInputs,
  type StepInputs,
  type StepResources,
} from '../../kernel/step/encoder.ts';
import { LayerState } from '../../kernel/step/layer-state.ts';
import { planStep, presetPolicy } from '../../policy/index.ts';

/** What our dense attention may differ from the runtime's, relative to the largest output: rounding. */
export const STOCK_BOUND: Readonly<Record<DType, number>> = { f32: 1e-4, f16: 2e-2 };

const EXACT = presetPolicy('exact');
/** The step that is compared: every row is read. */
export const EXACT_STEP = { policy: EXACT, plan: planStep(EXACT, 1) } as const;

/** Our dense attention of one shape beside the runtime's, on the model's own data, and what they differ by at most. */
export class StockComparison {
  private constructor(
    private readonly encoder: AttentionEncoder,
    readonly resources: StepResources,
    private readonly comparison: OutputComparison,
    private readonly state: LayerState,
    private readonly output: GPUBuffer,
    private readonly lse: GPUBuffer,
  ) {}

  /**
   * @param tested an encoder that has the dense kernels; the comparison has resources of its own, so that it disturbs nobody's
   * @param owned gets what is made, as it is made
   * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`, `SELF_TEST_FAILED` if the comparison does not compile
   */
  static async create(tested: AttentionEncoder, owned: Owned): Promise<StockComparison> {
    const { shape } = tested;
    const { device } = tested.resources;
    const usage = GPUBufferUsage.STORAGE;
    const bytes = Math.ceil((shape.queryHeads * shape.headSize * 4) / 16) * 16;
    const [output, lse] = await allocate(device, 'A comparison needs', 0, () => [
      device.createBuffer({ size: bytes, usage }),
      device.createBuffer({ size: shape.queryHeads * 4, usage }),
    ]);
    owned.push(output!, lse!);
    const resources = await createStepResources(device);
    owned.push({ destroy: () => destroyStepResources(resources) });
    const comparison = await OutputComparison.create(device, shape);
    owned.push(comparison);
    const [state] = await LayerState.allocate(device, [shape], 1, EXACT);
    owned.push(state!);
    return new StockComparison(tested.on(resources), resources, comparison, state!, output!, lse!);
  }

  /**
   * Has the memory that comparisons on so many keys need, so that encoding them creates no buffer.
   * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`
   */
  reserve(maxLength: number): Promise<void> {
    return this.encoder.reserve({ ...EXACT_STEP, batch: 1, maxLength }, [this.state]);
  }

  /** Zeros, for lengths that are given without a buffer. */
  get zeros(): GPUBuffer {
    return this.resources.zeros;
  }

  get shape(): AttentionShape {
    return this.encoder.shape;
  }

  /** Encodes our attention of a layer, into a buffer of the comparison's own. */
  attend(
    pass: GPUComputePassEncoder,
    inputs: Omit<StepInputs, 'policy' | 'plan'>,
    layer: LayerInputs,
    pagedLse = false,
  ): void {
    const { encoder, state } = this;
    const step = encoder.prepare({ ...inputs, ...EXACT_STEP });
    encoder.attend(pass, step, layer, state);
    encoder.combine(pass, step, { buffer: this.output }, state, pagedLse ? { buffer: this.lse } : undefined);
  }

  /** Encodes the comparison with the runtime's output, which must be there. */
  compare(pass: GPUComputePassEncoder, stock: GPUBufferBinding): void {
    this.comparison.encode(pass, { buffer: this.output }, stock);
  }

  /**
   * Reads what was found, once all comparisons have been submitted.
   * @throws {SiftError} `SELF_TEST_FAILED` if ours computes something else
   */
  async check(): Promise<void> {
    const fault = await this.fault();
    if (fault !== undefined) throw new SiftError('SELF_TEST_FAILED', fault);
  }

  /** Reads what was found, once all comparisons have been submitted; undefined if ours computes the same. */
  async fault(): Promise<string | undefined> {
    const { relative, largest } = await this.comparison.read();
    const bound = STOCK_BOUND[this.shape.dtype];
    if (relative <= bound && largest > 0) return undefined;
    return `On the model's own data our dense attention (${describeShape(this.shape)}) differs from the runtime's by ${relative.toExponential(2)} of the largest output (${largest.toExponential(2)}); allowed: ${bound}.`;
  }
}
