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

/** A pipeline or a model of @huggingface/transformers, or an object with a model, such as `{ model, tokenizer }` or `{ model, processor }`. */
export type TransformersTarget =
  | ModelTarget
  | { readonly model: ModelTarget; readonly tokenizer?: unknown; readonly processor?: unknown };

/** An engine of @mlc-ai/web-llm, or in a worker its handler. */
export type WebLlmTarget = EngineTarget | { readonly engine: EngineTarget };

/** What `enableSift` takes. */
export type SiftTarget = TransformersTarget | WebLlmTarget;
