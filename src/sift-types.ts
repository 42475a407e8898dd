// What `enableSift` takes and gives, as the entries export it.
export type { EnableProgress, EnableStage } from './adapters/shared/progress.ts';
export type { Sift } from './adapters/shared/sift.ts';
export type { ChatMessage, ComparedRun, CompareOptions, ComparePrompt, Comparison } from './comparison.ts';
export type { Support } from './enabling.ts';
export type {
  InspectedHead,
  InspectedLayer,
  InspectedStep,
  InspectListener,
  InspectOptions,
} from './inspection.ts';
export type { SiftFrom, SiftOptions } from './options.ts';
export type {
  CacheReport,
  CrossoverReport,
  HeadReport,
  LayerReport,
  ReportedStatus,
  ReportOptions,
  SiftReport,
  SiftSummary,
  SpeedReport,
} from './report.ts';
