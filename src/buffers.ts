// The attention on plain GPU buffers, as the entries export it.
export type { AttentionShape, DType } from './kernel/shape.ts';
export {
  createSiftAttention,
  type DecodeStep,
  type LayerTensors,
  SiftAttention,
  type SiftAttentionOptions,
  type StepShape,
} from './kernel/sift-attention.ts';
export type { GroupFigures, HeadFigures, HeadStatus, LayerFigures } from './kernel/step/layer-state.ts';
