type Loose = Record<string, unknown> | null | undefined;

/** The parts of an MLCEngine that are used. */
export interface Engine {
  loadedModelIdToPipeline: Map<string, unknown>;
  reload(...args: unknown[]): Promise<void>;
  interruptGenerate(): unknown;
  chat: { completions: { create(request: object): Promise<unknown> } };
}

/** Whether this is an engine, not something that sends messages to one. */
export function isEngine(target: unknown): target is Engine {
  const engine = target as Loose;
  return engine?.loadedModelIdToPipeline instanceof Map && typeof engine.reload === 'function';
}

/** An engine of web-llm's that lives elsewhere: its methods send messages. */
function isProxy(target: unknown): boolean {
  const engine = target as Loose;
  return (
    typeof engine?.reload === 'function' &&
    typeof engine.interruptGenerate === 'function' &&
    typeof engine.chat === 'object' &&
    !isEngine(target)
  );
}

/** Whether `enableSift` was given something of web-llm's. */
export function isWebLlm(target: unknown): boolean {
  return isEngine(target) || isEngine((target as Loose)?.engine) || isProxy(target);
}
