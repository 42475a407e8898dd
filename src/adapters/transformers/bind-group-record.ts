/** A property on the group itself: a WeakMap of them took nearly a microsecond a call. */
const ENTRIES = Symbol('sift entries');
type Entries = readonly GPUBindGroupEntry[];
type TaggedGroup = GPUBindGroup & { [ENTRIES]?: Entries };

/**
 * What the runtime's bind groups bind.
 *
 * The runtime makes one for nearly every dispatch and sets it at once, and few of them belong to an attention. So only the newest is
 * remembered here, which costs next to nothing. A group gets a note of its own where it is needed: if another is made before it is set, or
 * if it binds an attention, which may be set again.
 */
export class BindGroupRecord {
  private newest: GPUBindGroup | undefined;
  private newestEntries: Iterable<GPUBindGroupEntry> = [];
  private wasSet = false;

  /** Call when a group has been made. */
  made(group: GPUBindGroup, entries: Iterable<GPUBindGroupEntry>): void {
    if (this.newest && !this.wasSet) this.keep(this.newest, this.newestEntries);
    this.newest = group;
    this.newestEntries = entries;
    this.wasSet = false;
  }

  /** What a group that is set binds; undefined if nobody saw it being made. The array is only good for the dispatches until the next group is made. */
  of(group: TaggedGroup): Entries | undefined {
    if (group !== this.newest) return group[ENTRIES];
    this.wasSet = true;
    const entries = this.newestEntries;
    return Array.isArray(entries) ? entries : [...entries];
  }

  /** Remembers what a group binds for as long as it lives. */
  keep(group: TaggedGroup, entries: Iterable<GPUBindGroupEntry>): void {
    group[ENTRIES] ??= [...entries];
  }

  /** Call when nobody asks for groups any more: the newest one is not held on to. */
  clear(): void {
    this.newest = undefined;
    this.newestEntries = [];
  }
}
