// What the entry `.` loads when it is used for the first time: all of web-llm's, comparisons, inspections and summaries. It is one module, because a
// bundler keeps apart what several of them share, and pages that use none would pay for that.
export { summarise } from './adapters/shared/summary.ts';
export { compare } from './adapters/transformers/compare.ts';
export { Inspection } from './adapters/transformers/inspection.ts';
export { enableWebLlm } from './adapters/web-llm/whole.ts';
