import { ESTIMATE_KEYS } from '../../policy/index.ts';
import { allocate } from '../gpu/allocate.ts';
import type { AttentionShape } from '../shape.ts';
import { codePlanes, codeVec, SHADOW_GROUP } from '../text/constants.ts';

/** Bytes of the shadow of one row of one KV head: its codes, those of channels that only fill a vector among them, and its scale. */
export function shadowRowBytes(shape: Pick<AttentionShape, 'headSize'>): number {
  return codePlanes(shape) * codeVec(shape) * 4 + 1;
}

/**
 * Groups of 32 rows that a shadow has room for when the cache has `rows` rows: up to a quarter more than it needs, so that it seldom has
 * to be made anew while the cache grows. All layers with so many rows have the same.
 */
export function shadowGroups(rows: number): number {
  const groups = Math.ceil(rows / SHADOW_GROUP);
  const unit = 2 ** Math.max(0, Math.floor(Math.log2(groups)) - 2);
  return Math.ceil(groups / unit) * unit;
}

/**
 * Has room in shadows for caches of `rows` rows.
 * @throws {SiftError} `OUT_OF_MEMORY`, `DEVICE_LOST`; some of the shadows may then have no memory that can be used
 */
export async function reserveShadows(
  device: GPUDevice,
  shadows: readonly Shadow[],
  rows: number,
): Promise<void> {
  const groups = shadowGroups(rows);
  const wanted = shadows.filter((shadow) => !shadow.has(groups));
  if (wanted.length === 0) return;
  await allocate(device, 'The shadow of K needs', 0, () => {
    for (const shadow of wanted) shadow.get(groups);
    return [];
  });
}

/** How many of its newest rows a step must encode, and whether the statistics are measured anew, because all rows are encoded. */
export interface Encoding {
  rows: number;
  statistics: boolean;
}

/**
 * The shadow of one layer of one KV cache: a copy of K with 2 bits an element (wgsl/shadow/encode.wgsl). It has the rows that lay in the
 * cache when it was last encoded. The rows after them are among the newest edge keys, whose exact K is read in any case, so that most
 * steps encode nothing.
 *
 * Rows that were encoded do not change: within a conversation a runtime only appends rows, and whatever else is done with a cache makes
 * another conversation, which begins with {@link reset}.
 */
export class Shadow {
  private buffer: GPUBuffer | undefined;
  private outgrown: GPUBuffer[] = [];
  private binding: GPUBufferBinding | undefined;
  private groups = 0;
  /** Rows of the cache when it was last encoded; 0: not since the buffer was made. */
  private encoded = 0;

  constructor(
    private readonly device: GPUDevice,
    private readonly shape: AttentionShape,
    private readonly batch: number,
  ) {}

  /** Bytes of GPU memory that it takes. */
  get bytes(): number {
    return this.buffer?.size ?? 0;
  }

  /** Bytes of so many groups of rows. */
  bytesOf(groups: number): number {
    const { shape, batch } = this;
    return batch * shape.kvHeads * groups * SHADOW_GROUP * shadowRowBytes(shape);
  }

  /** Whether the buffer has room for so many groups of rows. */
  has(groups: number): boolean {
    return this.groups === groups;
  }

  /** Destroys the buffers that were made anew. Call it when all work that names them has been submitted. */
  collect(): void {
    for (const buffer of this.outgrown) buffer.destroy();
    this.outgrown = [];
  }

  /** The buffer with room for so many groups of rows. If it had another size before, it is made anew, and is empty. */
  get(groups: number): GPUBufferBinding {
    if (!this.buffer || this.groups !== groups) {
      // Encoded work may still name the old buffer.
      if (this.buffer) this.outgrown.push(this.buffer);
      this.groups = groups;
      this.buffer = this.device.createBuffer({
        label: 'sift shadow',
        size: this.bytesOf(groups),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
      });
      this.binding = { buffer: this.buffer };
      this.encoded = 0;
    }
    return this.binding!;
  }

  /**
   * What a step has to encode before it reads the shadow of a cache with `rows` rows, that of the new token among them. Counts it as
   * encoded. Rows that are not encoded yet must be among the newest edge keys.
   */
  encode(rows: number): Encoding | undefined {
    // A cache that has become shorter is another one.
    if (rows < this.encoded) this.reset();
    const missing = rows - this.encoded;
    if (this.encoded > 0 && missing <= ESTIMATE_KEYS.newest) return undefined;
    // Whenever all rows are encoded, the statistics are measured anew. So they are never those of a cache that has grown by more than a
    // quarter, which is when the buffer is made anew.
    const statistics = this.encoded === 0;
    this.encoded = rows;
    return { rows: missing, statistics };
  }

  /** Forgets all rows: the next step encodes the whole cache. */
  reset(): void {
    this.encoded = 0;
  }

  destroy(): void {
    this.collect();
    this.buffer?.destroy();
    this.buffer = undefined;
    this.groups = 0;
    this.reset();
  }
}
