import type { InferenceSession, Tensor } from 'onnxruntime-web';
import {
  type HubModel,
  type HubTensor,
  type OrtSession,
  presentName,
} from '../../src/adapters/transformers/runtime.ts';
import type { OrtModule } from '../node/onnxruntime.ts';
import type { Decoder, Outputs } from './decoder.ts';

/** Architecture of a decoder, as its config.json says. */
export interface DecoderConfig {
  num_hidden_layers: number;
  num_key_value_heads: number;
  head_dim: number;
  vocab_size: number;
}

/**
 * Decodes through a session of onnxruntime-web, without transformers.js. Its `pipeline` has the parts of a transformers.js pipeline that
 * `enableSift` uses, so that the plugin's real adapter runs.
 */
export class SessionDecoder implements Decoder {
  readonly model: HubModel;
  chunk = Number.POSITIVE_INFINITY;

  private constructor(
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
      generate: () => Promise.reject(new Error('This pipeline decodes given tokens only.')),
      _update_model_kwargs_for_generation: () => ({
        input_ids: new WrappedTensor('int64', new BigInt64Array(1), [1, 1]) as unknown as HubTensor,
      }),
    };
    this.model = model;
  }

  /**
   * Loads a model on WebGPU. Its KV cache stays on the GPU.
   *
   * @param more - further options of the session, such as where its weights are
   */
  static async open(
    ort: OrtModule,
    model: Uint8Array,
    config: DecoderConfig,
    cacheType: 'float16' | 'float32',
    more: InferenceSession.SessionOptions = {},
  ): Promise<SessionDecoder> {
    const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => layer);
    const presents = layers.flatMap((layer) => [`present.${layer}.key`, `present.${layer}.value`]);
    const session = await ort.InferenceSession.create(model, {
      executionProviders: ['webgpu'],
      preferredOutputLocation: Object.fromEntries(presents.map((name) => [name, 'gpu-buffer'])),
      ...more,
    });
    return new SessionDecoder(ort, session, config, cacheType);
  }

  /** The runtime's session, whose methods the plugin stands in front of. */
  get session(): OrtSession {
    return this.model.sessions.model!;
  }

  inputs(tokens: readonly number[], total: number): Outputs {
    return {
      input_ids: this.int64(BigInt64Array.from(tokens, BigInt)),
      attention_mask: this.int64(new BigInt64Array(total).fill(1n)),
    };
  }

  async forward(inputs: Record<string, unknown>): Promise<Outputs> {
    const { session } = this;
    const past = inputs.past_key_values as Outputs | undefined;
    const feeds: Record<string, unknown> = {};
    for (const name of session.inputNames) {
      const given = (inputs[name] as HubTensor | undefined) ?? past?.[name];
      // Some exports ask of how many positions logits are wanted.
      const missing = name === 'num_logits_to_keep' ? () => this.int64(1n).ort_tensor : this.noPast;
      feeds[name] = given?.ort_tensor ?? missing();
    }
    const outputs = await session.run(feeds as never);
    return Object.fromEntries(
      Object.entries(outputs).map(([name, tensor]) => [name, this.wrap(tensor as unknown as Tensor)]),
    );
  }

  pastOf(outputs: Outputs): Outputs {
    return Object.fromEntries(
      this.session.inputNames
        .filter((name) => name.startsWith('past_key_values'))
        .map((name) => [name, outputs[presentName(name)]!]),
    );
  }

  release(): Promise<void> {
    return this.session.release();
  }

  /** The past keys or values of a layer before the first token. */
  private readonly noPast = (): Tensor => {
    const dims = [1, this.config.num_key_value_heads, 0, this.config.head_dim];
    const data = this.cacheType === 'float16' ? new Uint16Array(0) : new Float32Array(0);
    return new this.ort.Tensor(this.cacheType, data as never, dims) as Tensor;
  };

  /** A row of values, or a single one without dims. */
  private int64(values: BigInt64Array | bigint): HubTensor {
    const row = typeof values === 'bigint' ? BigInt64Array.of(values) : values;
    const dims = typeof values === 'bigint' ? [] : [1, values.length];
    return this.wrap(new this.ort.Tensor('int64', row, dims) as Tensor);
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
