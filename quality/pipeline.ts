// A decoder session in the clothes of a transformers.js pipeline: what enableSift and the harness use of one.
import type { InferenceSession, Tensor } from 'onnxruntime-web';
import type { HubPipeline, HubTensor, OrtSession } from '../src/adapters/transformers/runtime.ts';
import type { OrtModule } from './node-runtime.ts';

/** Architecture of a decoder, as its config.json says. */
export interface DecoderConfig {
  num_hidden_layers: number;
  num_key_value_heads: number;
  head_dim: number;
  vocab_size: number;
}

type Outputs = Record<string, HubTensor>;

/** One forward pass after another on one session. */
export class Decoder {
  readonly pipeline: HubPipeline;
  /** Tokens that a prompt may have at once. */
  chunk = Number.POSITIVE_INFINITY;

  constructor(
    private readonly ort: OrtModule,
    session: InferenceSession,
    private readonly config: DecoderConfig,
    private readonly cacheType: 'float16' | 'float32',
  ) {
    const { Tensor } = ort;
    /** Stands for the tensor class of transformers.js. */
    class WrappedTensor {
      readonly ort_tensor: Tensor;
      constructor(type: 'int64', data: BigInt64Array, dims: number[]) {
        this.ort_tensor = new Tensor(type, data, dims);
      }
    }
    const model = {
      sessions: { model: session as unknown as OrtSession },
      config: { ...config },
      forward: (inputs: Record<string, unknown>) => this.forward(inputs),
      generate: () => Promise.reject(new Error('The harness decodes given tokens.')),
      _update_model_kwargs_for_generation: () => ({
        input_ids: new WrappedTensor('int64', new BigInt64Array(1), [1, 1]) as unknown as HubTensor,
      }),
    };
    this.pipeline = { model };
  }

  /** Input tensors of some tokens in a sequence of `total`. */
  inputs(tokens: readonly number[], total: number): Outputs {
    return {
      input_ids: this.int64(BigInt64Array.from(tokens, BigInt)),
      attention_mask: this.int64(new BigInt64Array(total).fill(1n)),
    };
  }

  /** Runs the session; `past_key_values` is the previous result's present tensors, by input name. */
  async forward(inputs: Record<string, unknown>): Promise<Outputs> {
    const session = this.pipeline.model.sessions.model!;
    const past = inputs.past_key_values as Outputs | undefined;
    const { num_key_value_heads: heads, head_dim: size } = this.config;
    const feeds: Record<string, unknown> = {};
    for (const name of session.inputNames) {
      const given = (inputs[name] as HubTensor | undefined) ?? past?.[name];
      feeds[name] = given?.ort_tensor ?? this.empty([1, heads, 0, size]);
    }
    const outputs = await session.run(feeds as never);
    return Object.fromEntries(
      Object.entries(outputs).map(([name, tensor]) => [name, this.wrap(tensor as unknown as Tensor)]),
    );
  }

  /** The present tensors of a pass as the past of the next. */
  pastOf(outputs: Outputs, _length?: number): Outputs {
    const { inputNames } = this.pipeline.model.sessions.model!;
    return Object.fromEntries(
      inputNames
        .filter((name) => name.startsWith('past_key_values'))
        .map((name) => [name, outputs[name.replace('past_key_values', 'present')]!]),
    );
  }

  private empty(dims: number[]): Tensor {
    const data = this.cacheType === 'float16' ? new Uint16Array(0) : new Float32Array(0);
    return new this.ort.Tensor(this.cacheType, data as never, dims) as Tensor;
  }

  private int64(values: BigInt64Array): HubTensor {
    return this.wrap(new this.ort.Tensor('int64', values, [1, values.length]) as Tensor);
  }

  private wrap(tensor: Tensor): HubTensor {
    const wrapped = {
      dims: tensor.dims,
      location: tensor.location,
      ort_tensor: tensor as never,
      dispose: () => tensor.dispose(),
    };
    return wrapped;
  }
}
