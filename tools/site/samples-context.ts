// What the code samples of the documentation use and do not declare. Each gets an import of the names that it lacks.
import type { TextGenerationPipeline } from '@huggingface/transformers';
import type { MLCEngine } from '@mlc-ai/web-llm';
import type { Sift } from '../../src/index.ts';

export { enableSift, SiftError, uniformPolicy, validatePolicy } from '../../src/index.ts';

export declare const MODEL: string;
export declare const prompt: string;
export declare const generator: TextGenerationPipeline;
export declare const engine: MLCEngine;
export declare const sift: Sift;

// Of an engine of one's own.
export declare const device: GPUDevice;
export declare const pass: GPUComputePassEncoder;
export declare const q: GPUBuffer;
export declare const keys: GPUBuffer;
export declare const values: GPUBuffer;
export declare const output: GPUBuffer;
export declare const length: number;
export declare const capacity: number;
