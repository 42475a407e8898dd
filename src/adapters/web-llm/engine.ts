import { webLlmMembers } from '../../../patches/web-llm-members.ts';
import { SiftError } from '../../errors.ts';
import { checkWebGpu } from '../shared/web-gpu.ts';
import { type Engine, isEngine } from './target.ts';

/** A kernel launch: handles, scalars, then the launch dimensions, as plain numbers. */
export type Launch = (...args: number[]) => void;

/** Description of a kernel in a model library. */
export interface KernelInfo {
  name: string;
  /** `handle` for a buffer, else a scalar type; in order of the arguments. */
  arg_types: string[];
  /** Meaning of the arguments after those (`blockIdx.x`…), and flags. */
  launch_param_tags: string[];
}

/** The parts of tvmjs's WebGPU context that are used. */
export interface WebGpuContext {
  device: GPUDevice;
  bufferTable: (GPUBuffer | undefined)[];
  createShader(info: KernelInfo, code: string): Launch;
  /** Where commands are batched: the encoder under way, null if there is none. */
  pendingEncoder?: GPUCommandEncoder | null;
  flushCommands?(): void;
}

/** A function of a model library. */
type LibraryFunction = (...args: unknown[]) => unknown;

/** The parts of web-llm's chat pipeline that are used: private in its types, present at run time. */
export interface ChatPipeline {
  tvm: { lib: { webGPUContext?: WebGpuContext }; beginScope(): void; endScope(): void };
  vm: { getInternalModule(): { getFunction(name: string, queryImports?: boolean): LibraryFunction } };
  /** Keys in the cache. */
  filledKVCacheLength: number;
  slidingWindowSize: number;
  /** Tokens of the latest reply. */
  outputIds?: readonly number[];
  forwardDecodeToken?(tokenId: number): Promise<unknown>;
  decodeStep(...args: unknown[]): Promise<unknown>;
  samplePrefillStep?(...args: unknown[]): Promise<unknown>;
  prefillStep(...args: unknown[]): Promise<unknown>;
  forwardTokensAndSample(inputIds: number[], isPrefill: boolean): Promise<unknown>;
  resetKVCache(): void;
  dispose(): void;
}

type Loose = Record<string, unknown> | null | undefined;

/**
 * The engine of an engine or of a worker's handler.
 * @throws {SiftError} `INVALID_OPTION` for the page's proxy of an engine in a worker.
 */
export function findEngine(target: unknown): Engine {
  if (isEngine(target)) return target;
  const { engine } = target as { engine?: unknown };
  if (isEngine(engine)) return engine;
  throw new SiftError(
    'INVALID_OPTION',
    'This engine only sends messages to one in a worker. Call enableSift in the worker, where the handler is made: `await enableSift(handler)`.',
    { option: 'engine' },
  );
}

/**
 * Checks an engine and the models that it has loaded.
 * @throws {SiftError} what speaks against it
 */
export function checkEngine(target: unknown): void {
  checkWebGpu();
  const pipelines = [...findEngine(target).loadedModelIdToPipeline.values()];
  for (const pipeline of pipelines) findContext(pipeline);
}

/**
 * The WebGPU context of a chat pipeline.
 * @throws {SiftError} `UNSUPPORTED_MODEL` for a pipeline that has no chat, `UNSUPPORTED_RUNTIME` if a member that is needed is not there.
 */
export function findContext(pipeline: unknown): WebGpuContext {
  const loose = pipeline as Loose;
  if (typeof loose?.embedStep === 'function')
    throw new SiftError('UNSUPPORTED_MODEL', 'This is an embedding model: it has no decode steps.');
  for (const member of webLlmMembers.members.pipeline) {
    const names = typeof member === 'string' ? [member] : member;
    if (!names.some((name) => loose?.[name] !== undefined))
      throw unknownBuild(`its pipeline has no ${names.join(' or ')}`);
  }
  const context = (pipeline as ChatPipeline).tvm.lib?.webGPUContext;
  for (const name of webLlmMembers.members.context) {
    if (context?.[name as keyof WebGpuContext] === undefined)
      throw unknownBuild(`the WebGPU context of its runtime has no ${name}`);
  }
  return context!;
}

function unknownBuild(reason: string): SiftError {
  return new SiftError(
    'UNSUPPORTED_RUNTIME',
    `This version of web-llm is not one that sift-attention knows: ${reason}. It was tried on ${webLlmMembers.testedVersions.join(', ')}.`,
  );
}
