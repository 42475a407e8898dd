// The contract: what the plugin relies on in web-llm's private parts is there, in every version that we test. No GPU, no download.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import { webLlm } from './web-llm.ts';

const require = createRequire(import.meta.url);

function packageOf(name: string): { version: string; source: string } {
  const entry = require.resolve(name);
  const root = entry.slice(0, entry.lastIndexOf('/lib/'));
  const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { version: string };
  // 0.2.79 mixes line ends.
  return { version, source: readFileSync(entry, 'utf8').replaceAll('\r\n', '\n') };
}

/** The text from a line that begins with `opening` to the line that closes its indentation. */
function block(source: string, opening: string): string {
  const lines = source.split('\n');
  const first = lines.findIndex((line) => line.trimStart().startsWith(opening));
  if (first < 0) return '';
  const indent = /^\s*/.exec(lines[first]!)![0];
  const last = lines.findIndex(
    (line, i) => i > first && /^\s*\}[;)]*$/.test(line) && /^\s*/.exec(line)![0] === indent,
  );
  return lines.slice(first, last + 1).join('\n');
}

interface Clause {
  /** What the plugin needs, in words: the message when it has moved. */
  need: string;
  within: string[];
  pattern: RegExp;
}

const inEngine = ['class MLCEngine {'];
const inPipeline = ['class LLMChatPipeline {'];
const inContext = ['class WebGPUContext {'];
const member = (owner: string[], name: string): Clause => ({
  need: `${owner[0]!.slice(6, -2)}.${name}`,
  within: owner,
  // A method, or a field that the constructor sets.
  pattern: new RegExp(`^\\s*(${name}\\(|this\\.${name} = )`, 'm'),
});

/** Clauses that hold for every version. */
const ALWAYS: Clause[] = [
  ...webLlm.members.engine.map((name) => member(inEngine, name)),
  ...webLlm.members.pipeline
    .filter((name) => typeof name === 'string')
    .map((name) => member(inPipeline, name)),
  ...webLlm.members.context.map((name) => member(inContext, name)),
  {
    need: 'loadedModelIdToPipeline is a Map',
    within: inEngine,
    pattern: /this\.loadedModelIdToPipeline = new Map\(\)/,
  },
  {
    need: 'reload puts the pipeline into the map after its shaders are compiled, before anything decodes',
    within: [...inEngine, 'reloadInternal('],
    pattern:
      /yield newPipeline\.asyncLoadWebGPUPipelines\(\);\s*this\.loadedModelIdToPipeline\.set\(modelId, newPipeline\);/,
  },
  {
    need: 'the engine decodes through pipeline.decodeStep',
    within: [...inEngine, 'decode(pipeline'],
    pattern: /pipeline\.decodeStep\(/,
  },
  {
    need: 'unload disposes of the pipelines',
    within: [...inEngine, 'unload('],
    pattern: /pipeline\.dispose\(\)/,
  },
  {
    need: 'the handler of a worker holds an MLCEngine as `engine`',
    within: ['class WebWorkerMLCEngineHandler {'],
    pattern: /this\.engine = new MLCEngine\(\)/,
  },
  {
    need: 'resetChat resets the cache through this.resetKVCache',
    within: [...inPipeline, 'resetChat('],
    pattern: /this\.resetKVCache\(\)/,
  },
  {
    need: 'a forward raises filledKVCacheLength after its launches',
    within: [...inPipeline, 'embedAndForward('],
    pattern: /this\.fKVCacheEndForward\([\s\S]*this\.filledKVCacheLength \+= inputDataLen/,
  },
  {
    need: 'a forward of one token decodes, of more prefills',
    within: [...inPipeline, 'embedAndForward('],
    pattern: /if \(inputDataLen > 1\)/,
  },
  {
    need: 'one sequence in the cache',
    within: [...inPipeline, 'constructor('],
    pattern: /defaultMaxNumSequence = 1/,
  },
  {
    need: 'a sliding window is a slidingWindowSize other than -1',
    within: [...inPipeline, 'constructor('],
    pattern: /this\.slidingWindowSize = config\.sliding_window_size/,
  },
  {
    need: 'the library is vm.getInternalModule()',
    within: [...inPipeline, 'asyncLoadWebGPUPipelines('],
    pattern: /this\.vm\.getInternalModule\(\)/,
  },
  {
    need: 'the WebGPU context is tvm.lib.webGPUContext',
    within: ['class Instance {', 'initWebGPU('],
    pattern: /this\.lib\.webGPUContext = /,
  },
  ...Object.values(webLlm.functions).map((name) => ({
    need: `library function ${name}`,
    within: ['class Instance {', 'asyncLoadWebGPUPipelines('],
    pattern: new RegExp(`mod\\.getFunction\\("${name.replace('.', '\\.')}"`),
  })),
  {
    need: 'update_prebuild takes a name and a function',
    within: ['class Instance {', 'asyncLoadWebGPUPipelines('],
    pattern: /fUpdatePrebuild\(key, func\)/,
  },
  {
    need: 'a kernel description has name, arg_types (handle or scalar) and launch_param_tags',
    within: [...inContext, 'createShadeInternal('],
    pattern:
      /finfo\.launch_param_tags[\s\S]*"blockIdx\."[\s\S]*"paramWriteAccess:"[\s\S]*finfo\.arg_types[\s\S]*"handle"[\s\S]*finfo\.name/,
  },
  {
    need: 'a handle is an index into bufferTable',
    within: [...inContext, 'gpuBufferFromPtr('],
    pattern: /this\.bufferTable\[ptr\]/,
  },
  {
    need: 'ten storage buffers a stage are asked for',
    within: ['function detectGPUDevice('],
    pattern: /requiredMaxStorageBuffersPerShaderStage = 10;/,
  },
];

const VERSIONS: { name: string; version: string; clauses: Clause[] }[] = [
  {
    name: 'web-llm-0279',
    version: '0.2.79',
    clauses: [
      {
        need: 'decodeStep runs one forward of one token',
        within: [...inPipeline, 'decodeStep('],
        pattern: /this\.embedAndForward\(/,
      },
      member(inPipeline, 'prefillStep'),
      {
        need: 'every dispatch is submitted by itself',
        within: [...inContext, 'createShadeInternal('],
        pattern: /this\.device\.queue\.submit\(/,
      },
    ],
  },
  {
    name: '@mlc-ai/web-llm',
    version: '0.2.86',
    clauses: [
      {
        need: 'a decode step goes through this.forwardDecodeToken',
        within: [...inPipeline, 'sampleDecodeStep('],
        pattern: /this\.forwardDecodeToken\(/,
      },
      {
        need: 'decodeStep goes through this.sampleDecodeStep',
        within: [...inPipeline, 'decodeStep('],
        pattern: /this\.sampleDecodeStep\(/,
      },
      {
        need: 'prefillStep goes through this.samplePrefillStep',
        within: [...inPipeline, 'prefillStep('],
        pattern: /this\.samplePrefillStep\(/,
      },
      {
        need: 'passes collect in pendingEncoder, which null means is to be made',
        within: [...inContext, 'createShadeInternal('],
        pattern:
          /if \(!this\.pendingEncoder\) \{\s*this\.pendingEncoder = this\.device\.createCommandEncoder\(\)/,
      },
      {
        need: 'flushCommands submits pendingEncoder',
        within: [...inContext, 'flushCommands('],
        pattern: /submit\(\[this\.pendingEncoder\.finish\(\)\]\);\s*this\.pendingEncoder = null/,
      },
    ],
  },
];

function broken(source: string, clauses: readonly Clause[]): string[] {
  return clauses
    .filter(
      ({ within, pattern }) => !pattern.test(within.reduce((text, opening) => block(text, opening), source)),
    )
    .map(({ need }) => need);
}

describe.each(VERSIONS)('what the plugin relies on in web-llm $version', ({ name, version, clauses }) => {
  const installed = packageOf(name);
  const all = [...ALWAYS, ...clauses];

  test('is there', () => {
    expect(installed.version).toBe(version);
    expect(webLlm.testedVersions).toContain(version);
    expect(broken(installed.source, all)).toEqual([]);
  });

  test('is named when it has moved', () => {
    const moved = installed.source
      .replaceAll('loadedModelIdToPipeline', 'pipelines')
      .replaceAll('bufferTable', 'buffers')
      .replaceAll('webgpu.update_prebuild', 'webgpu.set_prebuild');
    const names = broken(moved, all);
    for (const need of [
      'MLCEngine.loadedModelIdToPipeline',
      'WebGPUContext.bufferTable',
      'webgpu.update_prebuild',
    ])
      expect(names.join('\n')).toContain(need);
    expect(names.length).toBeLessThan(10);
  });
});
