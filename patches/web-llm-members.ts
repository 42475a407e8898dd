import type { WebLlmPatch } from '../src/adapters/web-llm/patch.ts';

/** The parts of the patch of web-llm that `isSupported` needs, which pages with transformers.js load, too. */
export const webLlmMembers: Pick<WebLlmPatch, 'testedVersions' | 'members'> = {
  testedVersions: ['0.2.79', '0.2.86'],
  members: {
    engine: ['loadedModelIdToPipeline', 'reload'],
    pipeline: [
      'tvm',
      'vm',
      'filledKVCacheLength',
      'slidingWindowSize',
      'resetKVCache',
      'forwardTokensAndSample',
      'dispose',
      // One decode step: 0.2.86 also replays tokens through the first.
      ['forwardDecodeToken', 'decodeStep'],
      // One prompt, in chunks.
      ['samplePrefillStep', 'prefillStep'],
    ],
    // pendingEncoder and flushCommands where commands are batched (0.2.86); without them every dispatch is submitted (0.2.79).
    context: ['device', 'bufferTable', 'createShader'],
  },
};
