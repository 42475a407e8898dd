import { denseAttention } from '../../oracle/index.ts';
import { HostMemory, type LibraryOptions, TestLibrary } from './library.ts';
import type { RuntimeContext, RuntimeEngine, RuntimePipeline, WebLlmInternals } from './runtime.ts';

/** Ids that the stub of the tokenizer may give. */
const VOCABULARY = 64;

const CHAT_CONFIG = {
  vocab_size: VOCABULARY,
  context_window_size: 4096,
  sliding_window_size: -1,
  attention_sink_size: -1,
  temperature: 0,
  top_p: 1,
  repetition_penalty: 1,
  tokenizer_info: { token_postproc_method: 'byte_level', prepend_space_in_encode: false },
  conv_template: {
    ...{
      system_template: '{system_message}',
      system_message: 'S',
      roles: { user: 'U', assistant: 'A', tool: 'T' },
    },
    role_templates: { user: '{user_message}', assistant: '{assistant_message}', tool: '{tool_message}' },
    ...{ seps: ['|'], role_content_sep: ':', role_empty_sep: ':', stop_str: [], stop_token_ids: [] },
  },
};

/** A real pipeline on a test library. */
export interface LoadedModel {
  pipeline: RuntimePipeline;
  library: TestLibrary;
  context: RuntimeContext;
  config: object;
}

/** A library function or object with what tvmjs adds to it. */
const disposable = <T extends object>(value: T) => Object.assign(value, { dispose() {} });

/**
 * A real LLMChatPipeline of the installed package over a TestLibrary. Real: the pipeline's constructor and methods, tvmjs's WebGPU
 * context and its loading of shaders. Stubbed: tvmjs's `Instance` (which is wasm), the tokenizer, and sampling.
 */
export async function loadModel(
  web: WebLlmInternals,
  options: LibraryOptions,
  config: object = {},
): Promise<LoadedModel> {
  const found = await web.detectGPUDevice();
  if (!found) throw new Error('web-llm finds no GPU device');
  const context = new web.WebGPUContext(new HostMemory(), found.device);
  const library = new TestLibrary(context, options);
  const noop = () => disposable(() => undefined);
  // The result of a forward: a list of tensors, of which the first is the logits.
  const forwardOf = (embeddings: { shape: number[] }) => {
    library.forward(embeddings.shape[1]!);
    return { get: () => disposable({ shape: [1, 1, VOCABULARY] }) };
  };
  const functions: Record<string, (...args: never[]) => unknown> = {
    _metadata: () => JSON.stringify({ params: [], prefill_chunk_size: 32, kv_state_kind: 'kv_cache' }),
    prefill: forwardOf,
    decode: forwardOf,
    embed: (tokens: { shape: number[] }) => tensor([tokens.shape[0]!, 8]),
    create_tir_paged_kv_cache: () => disposable({ kind: 'cache' }),
  };
  const tensor = (shape: number[]) =>
    disposable({
      shape,
      copyFrom() {
        return this;
      },
      view: (to: number[]) => tensor(to),
    });
  const missing = new Set(['image_embed', 'batch_prefill', 'batch_decode']);
  const tvm = {
    lib: { webGPUContext: context },
    initProgressCallback: [],
    ...{ beginScope() {}, endScope() {} },
    detachFromCurrentScope: <T>(x: T) => x,
    attachToCurrentScope: <T>(x: T) => x,
    webgpu: () => ({ sync: () => context.sync() }),
    makeShapeTuple: (shape: number[]) => shape,
    empty: (shape: number[]) => tensor(shape),
    getParamsFromCacheByName: () => disposable({}),
    getGlobalFunc: (name: string) =>
      name === 'vm.builtin.kv_state_clear' ? disposable(() => library.clear()) : noop(),
    createVirtualMachine: () =>
      disposable({
        getInternalModule: () => library,
        getFunction(name: string) {
          if (missing.has(name)) throw new Error(`no function ${name}`);
          return disposable(functions[name] ?? (() => undefined));
        },
      }),
    asyncLoadWebGPUPipelines: (module: object) =>
      web.Instance.prototype.asyncLoadWebGPUPipelines.call(tvm, module),
    dispose: () => context.dispose(),
  };
  const tokenizer = {
    encode: (text: string) => Int32Array.from(text, (c) => c.charCodeAt(0) % VOCABULARY),
    decode: (ids: Int32Array) => Array.from(ids, (id) => String.fromCharCode(97 + (id % 26))).join(''),
    dispose() {},
  };
  const chatConfig = { ...CHAT_CONFIG, ...config };
  const pipeline = new web.LLMChatPipeline(tvm, tokenizer, chatConfig);
  // Sampling reads the logits back, which is where the runtime waits for the GPU.
  const sample = async () => {
    await context.sync();
    return (pipeline.filledKVCacheLength * 7 + 3) % VOCABULARY;
  };
  pipeline.sampleFromRawLogits = sample;
  pipeline.sampleTokenFromLogits = sample;
  await pipeline.asyncLoadWebGPUPipelines();
  return { pipeline, library, context, config: chatConfig };
}

/** A real MLCEngine whose `reload` loads test libraries where it would download a model. */
export class TestEngine {
  readonly engine: RuntimeEngine;
  model: LoadedModel | undefined;

  constructor(
    web: WebLlmInternals,
    options: LibraryOptions,
    config: object = {},
    engine: RuntimeEngine = new web.MLCEngine(),
  ) {
    this.engine = engine;
    // The end of the real method is the same; what it downloads before is not there.
    this.engine.reloadInternal = async (modelId) => {
      this.model = await loadModel(web, options, config);
      engine.loadedModelIdToModelType.set(modelId, 0);
      engine.loadedModelIdToChatConfig.set(modelId, this.model.config);
      engine.loadedModelIdToPipeline.set(modelId, this.model.pipeline);
      engine.loadedModelIdToLock.set(modelId, new web.CustomLock());
    };
  }

  get loaded(): LoadedModel {
    if (!this.model) throw new Error('no model is loaded');
    return this.model;
  }

  /** One turn of a chat; returns the reply. */
  async chat(messages: object[], maxTokens: number, extra: object = {}): Promise<string> {
    const reply = (await this.engine.chat.completions.create({
      ...{ messages, max_tokens: maxTokens, temperature: 0, ...extra },
    })) as { choices: { message: { content: string } }[] };
    return reply.choices[0]!.message.content;
  }

  /** The same as a stream; returns the number of pieces. */
  async stream(messages: object[], maxTokens: number): Promise<number> {
    const request = { messages, max_tokens: maxTokens, temperature: 0, stream: true };
    let pieces = 0;
    for await (const piece of (await this.engine.chat.completions.create(request)) as AsyncIterable<object>)
      pieces += piece ? 1 : 0;
    return pieces;
  }
}

/** A layer's dense attention in f64, for the last 1-token forward. */
export function expectedOutput(library: TestLibrary, layer: number): Float64Array {
  const { queryHeads, kvHeads, headSize } = library.options.shape;
  const length = library.keys[layer]!.length;
  const lay = (rows: Float32Array[]) => {
    const out = new Float64Array(kvHeads * length * headSize);
    for (const [i, row] of rows.entries()) {
      for (let h = 0; h < kvHeads; h++)
        out.set(row.subarray(h * headSize, (h + 1) * headSize), (h * length + i) * headSize);
    }
    return out;
  };
  return denseAttention({
    ...{ q: library.last[layer]!.q, k: lay(library.keys[layer]!), v: lay(library.values[layer]!) },
    ...{ batch: 1, queryHeads, kvHeads, headSize, capacity: length, lengths: length },
  }).output;
}
