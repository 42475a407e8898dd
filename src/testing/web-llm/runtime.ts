import type { KernelInfo, Launch, WebGpuContext } from '../../adapters/web-llm/engine.ts';
import type { Engine } from '../../adapters/web-llm/target.ts';

/** A GPU buffer of the runtime, by number. */
export type Handle = number;

/** tvmjs's WebGPU context, with what tests use beside the plugin. */
export interface RuntimeContext extends WebGpuContext {
  deviceAllocDataSpace(bytes: number): Handle;
  deviceFreeDataSpace(handle: Handle): void;
  deviceCopyFromGPU(from: Handle, fromOffset: number, to: number, bytes: number): void;
  copyRawBytesToBuffer(bytes: Uint8Array, to: Handle, offset: number, count: number): void;
  createShaderAsync(info: KernelInfo, code: string): Promise<Launch>;
  sync(): Promise<void>;
  dispose(): void;
}

/** An MLCEngine, with what tests use beside the plugin. */
export interface RuntimeEngine extends Engine {
  loadedModelIdToChatConfig: Map<string, unknown>;
  loadedModelIdToModelType: Map<string, number>;
  loadedModelIdToLock: Map<string, unknown>;
  reloadInternal(modelId: string): Promise<void>;
  unload(): Promise<void>;
  resetChat(): Promise<void>;
  interruptGenerate(): void | Promise<void>;
  chat: { completions: { create(request: object): Promise<never> } };
}

/** Classes out of web-llm's bundle, most of which it does not export. */
export interface WebLlmInternals {
  MLCEngine: new () => RuntimeEngine;
  LLMChatPipeline: new (tvm: object, tokenizer: object, config: object) => RuntimePipeline;
  WebWorkerMLCEngineHandler: new () => { engine: RuntimeEngine; onmessage(message: MessageEvent): void };
  WebWorkerMLCEngine: new (worker: Worker) => Pick<RuntimeEngine, 'reload' | 'chat' | 'interruptGenerate'>;
  CustomLock: new () => object;
  WebGPUContext: new (memory: object, device: GPUDevice) => RuntimeContext;
  Instance: { prototype: { asyncLoadWebGPUPipelines(library: object): Promise<void> } };
  detectGPUDevice(): Promise<{ device: GPUDevice } | undefined>;
}

export interface RuntimePipeline {
  filledKVCacheLength: number;
  asyncLoadWebGPUPipelines(): Promise<void>;
  [name: string]: unknown;
}

/**
 * Loads an installed web-llm bundle as it is, plus two lines that hand out classes which the bundle keeps to itself.
 * @param source the text of its lib/index.js
 */
export async function loadWebLlm(source: string): Promise<WebLlmInternals> {
  const anchor = 'class Instance {';
  if (source.split(anchor).length !== 2) throw new Error(`web-llm's bundle has no single "${anchor}"`);
  // In the same scope as tvmjs's classes, when the class after these is declared.
  const patched = source.replace(
    anchor,
    `globalThis.tvmjsUnderTest = { WebGPUContext, detectGPUDevice, get Instance() { return Instance; } };\n${anchor}`,
  );
  const url = URL.createObjectURL(
    new Blob([`${patched}\nexport { LLMChatPipeline, CustomLock };\n`], { type: 'text/javascript' }),
  );
  const exported: WebLlmInternals = await import(/* @vite-ignore */ url);
  URL.revokeObjectURL(url);
  const { tvmjsUnderTest } = globalThis as unknown as { tvmjsUnderTest: WebLlmInternals };
  const { WebGPUContext, Instance, detectGPUDevice } = tvmjsUnderTest;
  return { ...exported, WebGPUContext, Instance, detectGPUDevice };
}
