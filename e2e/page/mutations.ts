// Breaks our kernels on purpose, in this page alone. When one of our pipelines is set while a mutation is active, another is set instead:
// one that was compiled from the same WGSL with the mutation in it. By then the plugin's self-test, which would catch some of them, has run.
import { observe } from '../../lab/webgpu-calls/observe.ts';
import { intercept } from '../../src/adapters/shared/interception.ts';

/** Wraps a WGSL function: it is renamed, and one of its name calls it. */
function wrap(
  code: string,
  name: string,
  body: (call: (args: string[]) => string, args: string[]) => string,
): string {
  const found = new RegExp(`fn ${name}\\(([^)]*)\\) -> (\\w+) \\{`).exec(code);
  if (!found) return code;
  const [head, parameters, type] = found as unknown as [string, string, string];
  const args = parameters.split(',').map((parameter) => parameter.split(':')[0]!.trim());
  const sound = `sound_${name}`;
  const text = body((given) => `${sound}(${given.join(', ')})`, args);
  return `${code.replace(head, head.replace(name, sound))}\nfn ${name}(${parameters}) -> ${type} {\n  ${text}\n}\n`;
}

/** Each returns the code unchanged where it has nothing to break. */
export const MUTATIONS = {
  /** Thresholds are a hundred times too high. */
  'threshold times 100': (code) =>
    wrap(
      code,
      'log_threshold',
      (call, args) =>
        `let sound = ${call(args)};\n  return select(sound + log(100.0), sound, sound <= LOWEST);`,
    ),
  /** V rows come from the neighbouring KV head. */
  'group index off by one': (code) =>
    // Only where V rows are read; every kernel has the function.
    code.split('v_row(').length < 3
      ? code
      : wrap(
          code,
          'v_row',
          (call, args) =>
            `return ${call(args.map((arg) => (arg === 'kv_head' ? '(kv_head + 1u) % KV_HEADS' : arg)))};`,
        ),
  /** A head is judged by what its neighbour has learned. */
  'threshold of another head': (code) =>
    wrap(
      code,
      'head_threshold',
      (call, args) =>
        `return ${call(args.map((arg) => (arg === 'head' ? '(head + 1u) % QUERY_HEADS' : arg)))};`,
    ),
} satisfies Record<string, (code: string) => string>;

export type Mutation = keyof typeof MUTATIONS;

/** The mutation that is active, and how many dispatches of ours ran a broken kernel. */
export const mutation: { active: Mutation | null; broken: number } = { active: null, broken: 0 };

interface Origin {
  device: GPUDevice;
  descriptor: GPUComputePipelineDescriptor;
  code: string;
  broken: Map<Mutation, GPUComputePipeline | null>;
}

const codes = new WeakMap<GPUShaderModule, string>();
const origins = new WeakMap<GPUComputePipeline, Origin>();
/** WebGPU's own: what compiles a broken kernel must not be taken for the plugin or for the runtime. */
const { createShaderModule } = GPUDevice.prototype;

function brokenPipeline(pipeline: GPUComputePipeline, name: Mutation): GPUComputePipeline | null {
  const origin = origins.get(pipeline);
  if (!origin) return null;
  const { device, descriptor, broken } = origin;
  let found = broken.get(name);
  if (found === undefined) {
    const code = MUTATIONS[name](origin.code);
    const module = code === origin.code ? null : createShaderModule.call(device, { code });
    found =
      module && device.createComputePipeline({ ...descriptor, compute: { ...descriptor.compute, module } });
    broken.set(name, found);
  }
  return found;
}

// These stay for as long as the page does.
observe(GPUDevice.prototype, 'createShaderModule', (module, [{ label, code }]) => {
  if (label?.startsWith('sift ')) codes.set(module, String(code));
});
intercept(
  GPUDevice.prototype,
  'createComputePipelineAsync',
  (original, interception) =>
    async function (this: GPUDevice, descriptor) {
      const pipeline = await original.call(this, descriptor);
      const code = codes.get(descriptor.compute.module);
      if (interception.active && code !== undefined)
        origins.set(pipeline, { device: this, descriptor, code, broken: new Map() });
      return pipeline;
    },
);
intercept(
  GPUComputePassEncoder.prototype,
  'setPipeline',
  (original, interception) =>
    function (this: GPUComputePassEncoder, pipeline) {
      const name = interception.active ? mutation.active : null;
      const broken = name && brokenPipeline(pipeline, name);
      if (broken) mutation.broken++;
      return original.call(this, broken ?? pipeline);
    },
);
