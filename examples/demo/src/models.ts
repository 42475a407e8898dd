import type { DataType } from '@huggingface/transformers';

/** A model that the page offers. */
export interface ModelChoice {
  /** The embedded model has no id: its files lie beside the page. */
  id: string | null;
  label: string;
  /** On a GPU without half precision, q4 is taken for q4f16 (gpu.ts). */
  dtype: DataType;
  /** Megabytes that are downloaded, about. */
  megabytes: number;
  /** What it is for. */
  note: string;
}

export const EMBEDDED: ModelChoice = {
  id: null,
  label: 'Embedded, 4.7M parameters, offline',
  dtype: 'q4',
  megabytes: 8,
  note: 'A model of our own that was trained for minutes. It does one thing well: it recalls codes from long texts. So the page hides codes in the document, and asks for one.',
};

/** Models of the hub whose attention is grouped-query, in their usual exports. */
export const MODELS: readonly ModelChoice[] = [
  EMBEDDED,
  {
    id: 'onnx-community/Qwen2.5-0.5B-Instruct',
    label: 'Qwen2.5 0.5B Instruct',
    dtype: 'q4f16',
    megabytes: 480,
    note: 'Answers questions about the document. It needs a GPU.',
  },
  {
    id: 'onnx-community/Qwen3-0.6B-ONNX',
    label: 'Qwen3 0.6B',
    dtype: 'q4f16',
    megabytes: 570,
    note: 'Answers questions about the document, and thinks before it does. It needs a GPU.',
  },
  {
    id: 'onnx-community/Llama-3.2-1B-Instruct-ONNX',
    label: 'Llama 3.2 1B Instruct',
    dtype: 'q4f16',
    megabytes: 1200,
    note: 'Answers questions about the document. It needs a GPU with 3 GB to spare.',
  },
];
