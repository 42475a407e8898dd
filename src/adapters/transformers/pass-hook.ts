import type { BindGroupRecord } from './bind-group-record.ts';
import type { Program } from './program.ts';

/** A dispatch that the runtime is about to encode. One object serves all dispatches of a pass: copy what must outlive the call. */
export interface Dispatch {
  /** The pass as it is without the hook. What is encoded here is not seen as the runtime's, and does not disturb its state. */
  readonly pass: GPUComputePassEncoder;
  /** Undefined if the pipeline is none of the patch's. */
  readonly program: Program | undefined;
  /** Whether the pipeline's creation was seen; if not, the plugin came too late for it. */
  readonly known: boolean;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  /** The bind group's entries. */
  readonly entries: readonly GPUBindGroupEntry[];
  readonly x: number;
  readonly y: number;
  readonly z: number;
  /** Encodes the runtime's own dispatch now. */
  encodeStock(): void;
}

/** Receives the dispatches of one `session.run`. */
export interface DispatchHandler {
  /** Returns true if the dispatch was replaced: the runtime's own is then not encoded. */
  dispatch(dispatch: Dispatch): boolean;
  /**
   * A dispatch that cannot be routed is about to be encoded: an indirect one, or one whose buffers are not known.
   * @param indirect the program of an indirect dispatch, if it is one of the patch's
   */
  passed?(pass: GPUComputePassEncoder, indirect?: Program): void;
}

/** What the hook of a pass needs of the device's. */
export interface HookState {
  readonly handler: DispatchHandler | undefined;
  readonly groups: BindGroupRecord;
  /** The program of a pipeline; `'other'` if it is none of the patch's, undefined if its creation was not seen. */
  programOf(pipeline: GPUComputePipeline): Program | 'other' | undefined;
}

const HOOK = Symbol('sift pass');
type HookedPass = GPUComputePassEncoder & { [HOOK]: PassHook };

/**
 * Stands in front of one compute pass. Pipeline and bind group of the runtime are set when it dispatches, so that a replaced dispatch
 * costs neither, and whatever a handler encoded in between is undone where the runtime goes on.
 */
export class PassHook implements Dispatch {
  readonly pass: GPUComputePassEncoder;
  program: Program | undefined;
  known = false;
  entries: readonly GPUBindGroupEntry[] = [];
  x = 1;
  y = 1;
  z = 1;
  /** As the runtime set them. */
  private nextPipeline: GPUComputePipeline | undefined;
  private nextGroup: GPUBindGroup | undefined;
  private nextEntries: readonly GPUBindGroupEntry[] | undefined;
  /** The pass has another pipeline or group than the runtime set. */
  private pipelineDiffers = false;
  private groupDiffers = false;

  // The pass's methods as they were: another library may have put its own in front.
  private readonly setPipeline: GPUComputePassEncoder['setPipeline'];
  private readonly setBindGroup: (this: GPUComputePassEncoder, ...args: unknown[]) => undefined;
  private readonly dispatchWorkgroups: GPUComputePassEncoder['dispatchWorkgroups'];
  private readonly dispatchIndirect: GPUComputePassEncoder['dispatchWorkgroupsIndirect'];

  constructor(
    private readonly target: GPUComputePassEncoder,
    private readonly state: HookState,
  ) {
    this.setPipeline = target.setPipeline;
    this.setBindGroup = target.setBindGroup as PassHook['setBindGroup'];
    this.dispatchWorkgroups = target.dispatchWorkgroups;
    this.dispatchIndirect = target.dispatchWorkgroupsIndirect;
    this.pass = new RawPass(this) as unknown as GPUComputePassEncoder;
  }

  get pipeline(): GPUComputePipeline {
    return this.nextPipeline!;
  }

  get group(): GPUBindGroup {
    return this.nextGroup!;
  }

  /** The functions are the same for all passes; only this object is a pass's own. */
  install(): void {
    const pass = this.target as HookedPass;
    pass[HOOK] = this;
    pass.setPipeline = setPipeline;
    pass.setBindGroup = setBindGroup as GPUComputePassEncoder['setBindGroup'];
    pass.dispatchWorkgroups = dispatchWorkgroups;
    pass.dispatchWorkgroupsIndirect = dispatchWorkgroupsIndirect;
  }

  encodeStock(): void {
    this.flush();
    this.dispatchWorkgroups.call(this.target, this.x, this.y, this.z);
  }

  runtimePipeline(pipeline: GPUComputePipeline): void {
    this.nextPipeline = pipeline;
    this.pipelineDiffers = true;
  }

  runtimeGroup(index: number, group: GPUBindGroup | null | undefined, args: IArguments): void {
    if (index === 0) {
      // With dynamic offsets, which the runtime does not use, the group is set at once and nothing is routed.
      this.nextGroup = args.length === 2 && group ? group : undefined;
      this.groupDiffers = this.nextGroup !== undefined;
      this.nextEntries = this.nextGroup && this.state.groups.of(this.nextGroup);
      if (this.groupDiffers) return;
    }
    this.setBindGroup.call(this.target, ...args);
  }

  runtimeDispatch(x: number, y: number, z: number): void {
    this.x = x;
    this.y = y;
    this.z = z;
    const { handler } = this.state;
    const { nextPipeline, nextEntries } = this;
    if (handler && nextPipeline && nextEntries) {
      const program = this.state.programOf(nextPipeline);
      this.program = program === 'other' ? undefined : program;
      this.known = program !== undefined;
      this.entries = nextEntries;
      // A group of an attention may be set again when it is no longer the newest.
      if (this.program) this.state.groups.keep(this.nextGroup!, nextEntries);
      if (handler.dispatch(this)) return;
    } else handler?.passed?.(this.pass);
    this.encodeStock();
  }

  runtimeDispatchIndirect(buffer: GPUBuffer, offset: number): void {
    const { handler } = this.state;
    if (handler?.passed) {
      const program = this.nextPipeline && this.state.programOf(this.nextPipeline);
      handler.passed(this.pass, program === 'other' ? undefined : program);
    }
    this.flush();
    this.dispatchIndirect.call(this.target, buffer, offset);
  }

  rawPipeline(pipeline: GPUComputePipeline): void {
    this.pipelineDiffers = true;
    this.setPipeline.call(this.target, pipeline);
  }

  rawGroup(index: number, group: GPUBindGroup, offsets?: Uint32Array, start?: number, length?: number): void {
    this.groupDiffers = true;
    if (offsets) this.setBindGroup.call(this.target, index, group, offsets, start, length);
    else this.setBindGroup.call(this.target, index, group);
  }

  rawDispatch(x: number, y: number, z: number): void {
    this.dispatchWorkgroups.call(this.target, x, y, z);
  }

  private flush(): void {
    if (this.pipelineDiffers && this.nextPipeline) this.setPipeline.call(this.target, this.nextPipeline);
    if (this.groupDiffers && this.nextGroup) this.setBindGroup.call(this.target, 0, this.nextGroup);
    this.pipelineDiffers = false;
    this.groupDiffers = false;
  }
}

/** The methods of a pass that our kernels are encoded with. */
class RawPass {
  constructor(private readonly hook: PassHook) {}

  setPipeline(pipeline: GPUComputePipeline): void {
    this.hook.rawPipeline(pipeline);
  }

  setBindGroup(
    index: number,
    group: GPUBindGroup,
    offsets?: Uint32Array,
    start?: number,
    length?: number,
  ): void {
    this.hook.rawGroup(index, group, offsets, start, length);
  }

  dispatchWorkgroups(x: number, y = 1, z = 1): void {
    this.hook.rawDispatch(x, y, z);
  }
}

function setPipeline(this: GPUComputePassEncoder, pipeline: GPUComputePipeline): undefined {
  (this as HookedPass)[HOOK].runtimePipeline(pipeline);
}

function setBindGroup(this: GPUComputePassEncoder, index: number, group: GPUBindGroup | null): undefined {
  // biome-ignore lint/complexity/noArguments: the number of arguments counts, and rest parameters are an array for every call
  (this as HookedPass)[HOOK].runtimeGroup(index, group, arguments);
}

function dispatchWorkgroups(this: GPUComputePassEncoder, x: number, y = 1, z = 1): undefined {
  (this as HookedPass)[HOOK].runtimeDispatch(x, y, z);
}

function dispatchWorkgroupsIndirect(
  this: GPUComputePassEncoder,
  buffer: GPUBuffer,
  offset: number,
): undefined {
  (this as HookedPass)[HOOK].runtimeDispatchIndirect(buffer, offset);
}
