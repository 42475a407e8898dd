// Files that are damaged: each reader says what is wrong with them, and takes no more memory than they have bytes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeOnnx, OnnxGraph } from '../../lab/onnx-graph.ts';
import { describeAttention } from '../../quality/matrix/graph.ts';
import { parseMatrix } from '../../quality/matrix/results.ts';
import { parseSafetensors } from './safetensors.ts';

const RUNS = { numRuns: 400 };

function safetensors(header: unknown, data: number): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(header) ?? 'null');
  const bytes = new Uint8Array(8 + text.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const VALID = safetensors(
  {
    __metadata__: { format: 'pt' },
    a: { dtype: 'F16', shape: [2, 3], data_offsets: [0, 12] },
    b: { dtype: 'F32', shape: [2], data_offsets: [12, 20] },
  },
  20,
);

/** A file with some of its bytes changed, and cut or with more bytes at its end. */
const damaged = (file: Uint8Array) =>
  fc
    .tuple(
      fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { maxLength: 6 }),
      fc.integer({ min: 0, max: file.length + 8 }),
    )
    .map(([changes, length]) => {
      const bytes = new Uint8Array(length);
      bytes.set(file.subarray(0, length));
      for (const [at, value] of changes) if (at < length) bytes[at] = value;
      return bytes;
    });

/** Reads, and returns what was read, or checks that the error names the format. */
function readsOrRefuses<T>(read: () => T, format: string): T | undefined {
  try {
    return read();
  } catch (error) {
    expect((error as Error).message).toMatch(new RegExp(`^${format}`));
    return undefined;
  }
}

test('safetensors', () => {
  expect([...parseSafetensors(VALID).keys()]).toEqual(['a', 'b']);
  const anyHeader = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(
      fc.string(),
      fc.record(
        {
          dtype: fc.constantFrom('F16', 'F32', 'I8', null),
          shape: fc.oneof(fc.jsonValue(), fc.array(fc.oneof(fc.integer(), fc.double()), { maxLength: 4 })),
          data_offsets: fc.oneof(
            fc.jsonValue(),
            fc.tuple(fc.integer(), fc.integer()),
            fc.tuple(fc.double(), fc.double()),
          ),
        },
        { requiredKeys: [] },
      ),
    ),
  );
  const files = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    damaged(VALID),
    fc.tuple(anyHeader, fc.nat(64)).map(([header, data]) => safetensors(header, data)),
  );
  fc.assert(
    fc.property(files, (bytes) => {
      const tensors = readsOrRefuses(() => parseSafetensors(bytes), 'safetensors: ');
      for (const { shape, data } of tensors?.values() ?? []) {
        expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
        expect(data.length).toBeLessThanOrEqual(bytes.length / 2);
      }
    }),
    RUNS,
  );
});

test('ONNX models', () => {
  const graph = new OnnxGraph('g');
  graph.node('attention', 'GroupQueryAttention', ['q', 'k', 'v'], {
    attributes: { num_heads: 8, kv_num_heads: 2, local_window_size: 64 },
  });
  graph.float('w', 1, [2, 2], new Float32Array(4));
  graph.input('past_key_values.0.key', 1, ['batch', 2, 'past', 64]);
  graph.output('out', 1, [1]);
  const valid = graph.encode();
  expect(describeAttention(decodeOnnx(valid).graph!)).toContain('8/2 heads of 64');
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), damaged(valid)), (bytes) => {
      const model = readsOrRefuses(() => decodeOnnx(bytes), 'ONNX: ');
      if (model?.graph) expect(describeAttention(model.graph).length).toBeLessThan(10_000);
    }),
    RUNS,
  );
});

test('results of the matrix', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      readsOrRefuses(() => parseMatrix(text), 'This file has no results');
    }),
    RUNS,
  );
});
