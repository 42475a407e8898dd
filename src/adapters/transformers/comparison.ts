import { SiftError } from '../../errors.ts';
import { OutputComparison } from '../../kernel/proof/output-comparison.ts';
import type { AttentionShape } from '../../kernel/shape.ts';
import type { AttentionEncoder } from '../../kernel/step/encoder.ts';
import { LayerState } from '../../kernel/step/layer-state.ts';
import { learnedPolicy, planStep } from '../../policy/index.ts';
import { type AttendCall, bufferOf, readAttendCall, shapeKey } from './attend-call.ts';
import type { DeviceHook } from './device-hook.ts';
import { LayerLocator } from './layer-locator.ts';
import type { Dispatch, DispatchHandler } from './pass-hook.ts';
import { isMatched } from './program.ts';
import type { Tensors } from './session-hook.ts';

/** Bounds of the difference between our dense kernel and the runtime's, relative to the largest output. */
export const STOCK_BOUND = { f32: 1e-4, f16: 2e-2 } as const;

interface ComparedKernel {
  shape: AttentionShape;
  encoder: AttentionEncoder;
  comparison: OutputComparison;
  state: LayerState;
  output: GPUBuffer;
}

/** The dense kernels of some shapes beside the runtime's. */
export class ComparedKernels {
  readonly byShape = new Map<string, ComparedKernel>();

  static async create(
    device: GPUDevice,
    encoders: ReadonlyMap<string, AttentionEncoder>,
  ): Promise<ComparedKernels> {
    const kernels = new ComparedKernels();
    for (const [key, encoder] of encoders) {
      const { shape } = encoder;
      kernels.byShape.set(key, {
        shape,
        encoder,
        comparison: await OutputComparison.create(device, shape),
        state: new LayerState(device, shape, 1, learnedPolicy({ tau: 0 })),
        output: device.createBuffer({
          label: 'sift comparison',
          size: shape.queryHeads * shape.headSize * 4,
          usage: GPUBufferUsage.STORAGE,
        }),
      });
    }
    return kernels;
  }

  /**
   * Reads what was found.
   * @throws {SiftError} `SELF_TEST_FAILED` if a kernel differs from the runtime's
   */
  async check(): Promise<void> {
    for (const [key, { comparison, shape }] of this.byShape) {
      const { relative, largest } = await comparison.read();
      if (relative <= STOCK_BOUND[shape.dtype] && largest > 0) continue;
      throw new SiftError(
        'SELF_TEST_FAILED',
        `On this device our dense attention (${key}) differs from the runtime's by ${relative.toExponential(2)} of the largest output; allowed: ${STOCK_BOUND[shape.dtype]}.`,
      );
    }
  }

  destroy(): void {
    for (const { state, output } of this.byShape.values()) {
      state.destroy();
      output.destroy();
    }
  }
}

/** Lets the runtime's attention run and ours after it into a buffer of its own, and compares, in every layer of a decode step. */
export class Comparison implements DispatchHandler {
  /** Layers that were compared. */
  readonly layers = new Set<number>();
  private readonly locator: LayerLocator;
  private open: { layer: number; call: AttendCall } | undefined;

  /** @param feeds the inputs of the step's run */
  constructor(
    private readonly hook: DeviceHook,
    private readonly kernels: ComparedKernels,
    feeds: Tensors,
  ) {
    this.locator = new LayerLocator(feeds);
  }

  dispatch(dispatch: Dispatch): boolean {
    const { program, pass } = dispatch;
    const { open } = this;
    this.open = undefined;
    if (!program || !isMatched(program)) return false;
    if (program.role === 'copy') this.locator.noteCopy(dispatch, program);
    if (program.role === 'attend') {
      const call = readAttendCall(dispatch, program, this.hook);
      const layer = typeof call === 'string' ? undefined : this.locator.layerOf(call.keys.buffer);
      if (layer !== undefined) this.open = { layer, call: call as AttendCall };
    }
    if (program.role !== 'reduce' || !open) return false;
    const { call, layer } = open;
    const kernel = this.kernels.byShape.get(shapeKey(call.shape));
    const stock = bufferOf(dispatch, program, 'output');
    if (!kernel || !stock || call.newTokens !== 1 || call.batch !== 1) return false;
    dispatch.encodeStock();
    const policy = learnedPolicy({ tau: 0 });
    const step = kernel.encoder.prepare({
      ...call,
      lengths: call.seqlens,
      lengthBias: 1,
      policy,
      plan: planStep(policy, 1),
    });
    kernel.encoder.attend(pass, step, call, kernel.state);
    kernel.encoder.combine(pass, step, { buffer: kernel.output }, kernel.state);
    kernel.comparison.encode(pass, { buffer: kernel.output }, stock);
    this.layers.add(layer);
    return true;
  }
}
