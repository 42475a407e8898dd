import { afterEach, describe, expect, test, vi } from 'vitest';
import { browserSupport, enabling, supportOf } from './enabling.ts';
import { SiftError } from './errors.ts';

afterEach(() => vi.unstubAllGlobals());

/** A browser with WebGPU. */
function browser(requestAdapter: () => Promise<object | null>): void {
  vi.stubGlobal('GPUDevice', class {});
  vi.stubGlobal('navigator', { gpu: { requestAdapter } });
}

describe('browserSupport', () => {
  test('no WebGPU, no adapter, an adapter, and a browser that fails', async () => {
    vi.stubGlobal('GPUDevice', undefined);
    expect(await browserSupport()).toEqual({
      supported: false,
      reason: expect.stringContaining('There is no WebGPU here'),
    });
    browser(async () => null);
    expect(await browserSupport()).toEqual({
      supported: false,
      reason: expect.stringContaining('no GPU adapter'),
    });
    browser(async () => ({}));
    expect(await browserSupport()).toEqual({ supported: true, reason: null });
    browser(() => Promise.reject(new Error('the GPU process is gone')));
    expect(await browserSupport()).toEqual({ supported: false, reason: 'the GPU process is gone' });
  });
});

test('supportOf says what speaks against it', () => {
  expect(supportOf(() => {})).toEqual({ supported: true, reason: null });
  const check = () => {
    throw new SiftError('UNSUPPORTED_MODEL', 'no decoder');
  };
  expect(supportOf(check)).toEqual({ supported: false, reason: 'no decoder' });
});

describe('enabling', () => {
  const fail = (error: unknown) => () => Promise.reject(error);
  const unsupported = new SiftError('UNSUPPORTED_MODEL', 'no decoder');

  test('what is not supported may be ignored: then sift is off, and says why', async () => {
    await expect(enabling({}, fail(unsupported))).rejects.toBe(unsupported);
    const sift = await enabling({ onUnsupported: 'ignore' }, fail(unsupported));
    expect([sift.enabled, sift.unsupported]).toEqual([false, unsupported]);
    await expect(sift.compare('abc')).rejects.toBe(unsupported);
    expect((await sift.report()).reasons[0]!.reason).toBe('UNSUPPORTED_MODEL: no decoder');
  });

  test('who gives up is told so, even if the reason looks like what is ignored', async () => {
    const leaving = new AbortController();
    leaving.abort(unsupported);
    const options = { onUnsupported: 'ignore', signal: leaving.signal } as const;
    await expect(enabling(options, fail(unsupported))).rejects.toBe(unsupported);
  });
});
