import { describe, expect, it } from 'vitest';
import { findContext } from './engine.ts';

const context = { device: {}, bufferTable: [], createShader() {} };
const pipeline = {
  tvm: { lib: { webGPUContext: context } },
  vm: {},
  filledKVCacheLength: 0,
  slidingWindowSize: -1,
  resetKVCache() {},
  forwardTokensAndSample() {},
  dispose() {},
  decodeStep() {},
  prefillStep() {},
};

describe('findContext', () => {
  it('finds the WebGPU context of a chat pipeline', () => {
    expect(findContext(pipeline)).toBe(context);
  });

  it('says of an embedding model that it does not decode', () => {
    expect(() => findContext({ embedStep() {} })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_MODEL', message: expect.stringContaining('embedding') }),
    );
  });

  it.each([
    ['vm', { ...pipeline, vm: undefined }],
    ['forwardDecodeToken or decodeStep', { ...pipeline, decodeStep: undefined }],
    [
      'createShader',
      { ...pipeline, tvm: { lib: { webGPUContext: { ...context, createShader: undefined } } } },
    ],
    ['device', { ...pipeline, tvm: { lib: {} } }],
  ])('says that the version is not known where %s is not there', (name, other) => {
    expect(() => findContext(other)).toThrow(
      expect.objectContaining({
        code: 'UNSUPPORTED_RUNTIME',
        message: expect.stringContaining(`has no ${name}. It was tried on 0.2.79`),
      }),
    );
  });
});
