import { SiftError } from '../../errors.ts';
import { refusal } from './allocate.ts';

/**
 * Compiles a compute pipeline. One that is rejected is tried once more, since a browser's compiler may fail for a moment, as under a lack
 * of memory.
 *
 * @param name the kernel, for messages
 * @throws {SiftError} `SELF_TEST_FAILED` if it is rejected again, with the compiler's messages; `DEVICE_LOST`
 */
export async function compilePipeline(
  device: GPUDevice,
  name: string,
  code: string,
  layout?: GPUBindGroupLayout,
): Promise<GPUComputePipeline> {
  const label = `sift ${name}`;
  for (let attempt = 1; ; attempt++) {
    const module = device.createShaderModule({ label, code });
    try {
      return await device.createComputePipelineAsync({
        label,
        layout: layout ? device.createPipelineLayout({ label, bindGroupLayouts: [layout] }) : 'auto',
        compute: { module, entryPoint: 'main' },
      });
    } catch (cause) {
      if (attempt === 1) continue;
      const { messages } = await module.getCompilationInfo();
      const errors = messages.map((m) => `${m.lineNum}:${m.linePos} ${m.message}`).join('; ');
      const message = `The ${name} kernel does not compile on this device: ${errors || cause}`;
      throw await refusal(device, new SiftError('SELF_TEST_FAILED', message, { cause }));
    }
  }
}
