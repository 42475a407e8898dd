import { watchPrograms } from './adapters/transformers/program-notes.ts';

/**
 * `import 'sift-attention/register'`, before the first model is loaded, lets `enableSift` work at any time: after generations, and for a
 * second model on a device that others have used. Without it, `enableSift` must come before the first generation, since a runtime
 * compiles its programs once.
 *
 * From then on three methods of every GPUDevice of the page or worker are noted: those that create shader modules and compute
 * pipelines. Nothing else is touched, and what is noted goes with the programs.
 */
if (typeof GPUDevice !== 'undefined') watchPrograms(GPUDevice.prototype);
