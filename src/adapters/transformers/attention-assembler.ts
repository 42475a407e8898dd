import type { AttentionShape } from '../../kernel/shape.ts';
import {
  type AttendCall,
  bufferOf,
  cacheObstacle,
  furtherObstacle,
  readAttendCall,
  sizeOf,
} from './attend-call.ts';
import type { DeviceHook } from './device-hook.ts';
import type { Dispatch } from './pass-hook.ts';
import type { ProgramRole } from './patch.ts';
import { isMatched, type MatchedProgram } from './program.ts';

/** An attention of which all programs have been seen. Its shape also says whether there are sinks. */
export interface WholeAttention extends AttendCall {
  values: GPUBufferBinding;
  output: GPUBufferBinding;
  /** [queryHeads], of the model's element type: a score for each head that takes part in the softmax and has no row of V. */
  sinks: GPUBufferBinding | undefined;
}

/** What a dispatch means for the attention under way. */
export type Assembled =
  /** Nothing, or an attention that cannot be taken over. */
  | { kind: 'none'; reason?: string; otherForm?: boolean }
  /** The first program of an attention. */
  | { kind: 'first'; call: AttendCall; program: MatchedProgram }
  /** A further one; the last is still to come. */
  | { kind: 'next' }
  /** The last one. */
  | { kind: 'last'; attention: WholeAttention }
  /** The attention that had begun is not continued by this dispatch, which is none of its programs. */
  | { kind: 'broken'; reason: string };

/** What may follow a program. */
const FOLLOWS: Readonly<Partial<Record<ProgramRole, ProgramRole>>> = {
  attend: 'reduce',
  scores: 'values',
  values: 'reduce',
};

const NONE: Assembled = { kind: 'none' };
const NEXT: Assembled = { kind: 'next' };

/** Puts the programs of an attention together, which the runtime dispatches one right after the other. */
export class AttentionAssembler {
  private call: AttendCall | undefined;
  private values: GPUBufferBinding | undefined;
  private awaited: ProgramRole | undefined;
  /** The shape of the attention before. */
  private shape: AttentionShape | undefined;
  /** The last shape that sinks were found for, without them and with them. */
  private sinkShapes: { without: AttentionShape; with: AttentionShape } | undefined;

  constructor(private readonly hook: DeviceHook) {}

  /** Whether no attention is under way. */
  get idle(): boolean {
    return this.call === undefined;
  }

  /** Forgets the attention under way. */
  reset(): void {
    this.call = undefined;
    this.awaited = undefined;
  }

  /** Takes a dispatch. */
  next(dispatch: Dispatch): Assembled {
    const { program } = dispatch;
    const { call, awaited } = this;
    if (call) return this.continue(call, awaited!, dispatch);
    if (!program) return NONE;
    if (!isMatched(program)) {
      if (program.role === 'copy') return NONE;
      return { kind: 'none', reason: program.reason, otherForm: program.role === 'otherForm' };
    }
    if (program.role !== 'attend' && program.role !== 'scores') return NONE;
    const read = readAttendCall(dispatch, program, this.hook, this.shape);
    if (typeof read === 'string') return { kind: 'none', reason: read };
    this.shape = read.shape;
    this.call = read;
    this.awaited = FOLLOWS[program.role];
    if (program.role === 'attend') {
      const obstacle = this.takeValues(read, dispatch, program);
      if (obstacle !== undefined) return { kind: 'none', reason: obstacle };
    }
    return { kind: 'first', call: read, program };
  }

  private continue(call: AttendCall, awaited: ProgramRole, dispatch: Dispatch): Assembled {
    const { program } = dispatch;
    const broken = (reason: string): Assembled => {
      this.reset();
      return { kind: 'broken', reason };
    };
    if (!program) return broken('an unknown program of the runtime took the place of one of its attention');
    if (!isMatched(program)) return broken(program.reason);
    if (program.role !== awaited) return broken('the programs of an attention came in an unknown order');
    if (program.dtype !== call.shape.dtype)
      return broken(`the programs of an attention mix ${program.dtype} and ${call.shape.dtype}`);
    const unknown = furtherObstacle(dispatch, program, this.hook);
    if (unknown !== undefined) return broken(unknown);
    if (program.role === 'values') {
      this.awaited = FOLLOWS.values;
      const obstacle = this.takeValues(call, dispatch, program);
      return obstacle === undefined ? NEXT : broken(obstacle);
    }
    const output = bufferOf(dispatch, program, 'output');
    const sinks = bufferOf(dispatch, program, 'head_sink');
    if (!output || ('head_sink' in program.bindings && !sinks))
      return broken('a buffer of the attention was not seen');
    const { queryHeads, dtype } = call.shape;
    // Our kernels read sinks by words of up to 16 bytes.
    if (sinks && sizeOf(sinks) < Math.ceil((queryHeads * (dtype === 'f16' ? 2 : 4)) / 16) * 16)
      return broken('the buffer of the attention sinks is smaller than expected');
    const attention = this.whole(call, output, sinks);
    this.reset();
    return { kind: 'last', attention };
  }

  /** Written out, since a spread takes some microseconds a layer. */
  private whole(
    call: AttendCall,
    output: GPUBufferBinding,
    sinks: GPUBufferBinding | undefined,
  ): WholeAttention {
    return {
      shape: sinks ? this.withSinks(call.shape) : call.shape,
      batch: call.batch,
      newTokens: call.newTokens,
      maxLength: call.maxLength,
      window: call.window,
      capacity: call.capacity,
      scale: call.scale,
      q: call.q,
      keys: call.keys,
      seqlens: call.seqlens,
      values: this.values!,
      output,
      sinks,
    };
  }

  /** One object for all layers of a shape. */
  private withSinks(shape: AttentionShape): AttentionShape {
    if (this.sinkShapes?.without !== shape)
      this.sinkShapes = { without: shape, with: { ...shape, sinks: true } };
    return this.sinkShapes.with;
  }

  /** Notes where V is; the reason if it cannot be there. */
  private takeValues(call: AttendCall, dispatch: Dispatch, program: MatchedProgram): string | undefined {
    this.values = bufferOf(dispatch, program, 'present_value');
    const obstacle = this.values
      ? cacheObstacle(call, this.values)
      : 'a buffer of the attention was not seen';
    if (obstacle !== undefined) this.reset();
    return obstacle;
  }
}
