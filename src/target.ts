/** A function of a runtime's, whatever its arguments. */
type Method = (...args: never[]) => unknown;

/** A model of @huggingface/transformers: what `AutoModelForCausalLM.from_pretrained` and its relatives give. */
export interface ModelTarget {
  readonly sessions: object;
  readonly forward: Method;
  readonly generate: Method;
}

/** An engine of @mlc-ai/web-llm. */
export interface EngineTarget {
  readonly reload: Method;
  readonly interruptGenerate: Method;
}

/**
 * What `enableSift` takes: a pipeline or a model of @huggingface/transformers, an object with a model such as `{ model, tokenizer }` or
 * `{ model, processor }`, an engine of @mlc-ai/web-llm, or in a worker its handler.
 */
export type SiftTarget =
  | ModelTarget
  | { readonly model: ModelTarget; readonly tokenizer?: unknown; readonly processor?: unknown }
  | EngineTarget
  | { readonly engine: EngineTarget };
