// `sift-attention/kernel`: the attention on plain GPU buffers, without a runtime.
export * from './buffers.ts';
export * from './values.ts';
