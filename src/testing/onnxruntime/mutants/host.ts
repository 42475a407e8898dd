import {
  AttentionAssembler,
  type WholeAttention,
} from '../../../adapters/transformers/attention-assembler.ts';
import type { DeviceHook } from '../../../adapters/transformers/device-hook.ts';
import { LayerLocator } from '../../../adapters/transformers/layer-locator.ts';
import type { Dispatch } from '../../../adapters/transformers/pass-hook.ts';
import type { RuntimePatch } from '../../../adapters/transformers/patch.ts';
import { isMatched, matchProgram, type Program } from '../../../adapters/transformers/program.ts';
import type { OrtTensor } from '../../../adapters/transformers/runtime.ts';
import { FakeBuffer } from '../../fake-device.ts';
import { type StandInProgram, textOf, uniformBytes } from '../program.ts';
import { shuffled } from './draft.ts';
import type { Mutant } from './mutant.ts';

/** What an attention is, in what the plugin would hand to its kernels. */
export type Reading = Pick<WholeAttention, 'shape' | 'batch' | 'newTokens' | 'maxLength' | 'window'> &
  Pick<WholeAttention, 'capacity' | 'scale' | 'q' | 'keys' | 'seqlens' | 'values' | 'output' | 'sinks'> & {
    layer: number;
  };

/** The tensors that more than one program binds. */
const SHARED: Readonly<Record<string, string>> = {
  past_key: 'past',
  present_key: 'keys',
  present_value: 'values',
};

/** What programs that were not changed are recognised as: the same for thousands of mutants. */
const unchanged = new WeakMap<RuntimePatch, Map<string, Program | undefined>>();

function matchUnchanged(patch: RuntimePatch, program: StandInProgram): Program | undefined {
  const known = unchanged.get(patch) ?? new Map<string, Program | undefined>();
  unchanged.set(patch, known);
  const key = [program.label, program.dtype, ...program.storage.map(({ name }) => name)].join(' ');
  const fields = program.uniforms.map(({ name }) => name).join(' ');
  if (!known.has(`${key}/${fields}`))
    known.set(`${key}/${fields}`, matchProgram(patch, program.label, textOf(program)));
  return known.get(`${key}/${fields}`);
}

/** Binds and dispatches the programs of a mutant without a GPU, and sees what the plugin makes of them. */
export class MutantHost {
  private readonly buffers = new Map<string, FakeBuffer>();
  private readonly contents = new Map<FakeBuffer, DataView>();

  constructor(
    private readonly patch: RuntimePatch,
    private readonly mutant: Mutant,
  ) {}

  /** What the plugin reads; or why it leaves the attention alone. */
  read(): Reading | string {
    const { programs } = this.mutant;
    const hook = { uniformBytes: (buffer: FakeBuffer) => this.contents.get(buffer) } as unknown as DeviceHook;
    const past = { location: 'gpu-buffer', gpuBuffer: this.buffer('past') } as unknown as OrtTensor;
    const locator = new LayerLocator({ 'past_key_values.3.key': past });
    const assembler = new AttentionAssembler(hook);
    for (const [i, program] of programs.entries()) {
      const dispatch = this.dispatch(program, i);
      const { program: known } = dispatch;
      if (i === 0 && known && isMatched(known) && known.role === 'copy') locator.noteCopy(dispatch, known);
      const result = assembler.next(dispatch);
      if (result.kind === 'broken') return result.reason;
      if (i > 0 && result.kind === 'none') return result.reason ?? 'none of the patch';
      if (result.kind !== 'last') continue;
      const { attention } = result;
      const layer = locator.attentionOf(attention.keys.buffer);
      return layer === undefined ? 'the layer of an attention could not be told' : { ...attention, layer };
    }
    return 'the attention was not finished';
  }

  /** What the programs mean: every buffer and number by its role. */
  truth(): Reading {
    const { shape, programs, draft } = this.mutant;
    const { values } = draft;
    const first = programs[1]!;
    const reduce = programs.at(-1)!;
    const bound = (program: StandInProgram, role: string) => {
      const place = programs.indexOf(program);
      return program.storage.some((each) => each.role === role)
        ? this.binding(program, place, role)
        : undefined;
    };
    const length = values.total_sequence_length!;
    const window = first.uniforms.some(({ role }) => role === 'local_window_size')
      ? values.local_window_size!
      : 0;
    return {
      layer: 3,
      shape,
      batch: values.batch_size!,
      newTokens: 1,
      maxLength: length,
      window: window < length ? window : 0,
      capacity: values.present_sequence_length!,
      scale: values.alpha!,
      q: bound(first, 'q')!,
      keys: bound(first, 'present_key')!,
      seqlens: bound(first, 'seqlens_k'),
      values: bound(programs.at(-2) === first ? first : programs[2]!, 'present_value')!,
      output: bound(reduce, 'output')!,
      sinks: bound(reduce, 'head_sink'),
    };
  }

  private dispatch(program: StandInProgram, place: number): Dispatch {
    const { draft, after } = this.mutant;
    const mine = place === this.mutant.place;
    const host = mine ? draft.host : {};
    const matched = mine
      ? matchProgram(this.patch, program.label, after)
      : matchUnchanged(this.patch, program);
    const bytes = uniformBytes(program.uniforms, draft.values);
    const at = host.uniformOffset ?? 0;
    const all = new Uint8Array(at + 256 + bytes.length);
    // What lies elsewhere in the buffer are the uniforms of another dispatch.
    new Uint32Array(all.buffer, 0, 16).fill(1);
    all.set(bytes, at);
    const uniforms = new FakeBuffer(undefined, { size: all.length });
    this.contents.set(uniforms, new DataView(all.buffer));
    const entries = program.storage.map(({ role, binding }) => {
      const resource = this.binding(program, place, role);
      return { binding, resource: host.bare && !host.offset && !host.small ? resource.buffer : resource };
    });
    const resource = at === 0 ? { buffer: uniforms } : { buffer: uniforms, offset: at, size: bytes.length };
    const list = [...entries, { binding: program.uniformBinding, resource }];
    return {
      program: matched,
      known: true,
      entries: host.shuffled ? shuffled(draft.random, list) : list,
    } as unknown as Dispatch;
  }

  /** How the host binds the buffer of a role. */
  private binding({ label }: StandInProgram, place: number, role: string): GPUBufferBinding {
    const { draft } = this.mutant;
    const host = place === this.mutant.place ? draft.host : {};
    const buffer = this.buffer(SHARED[role] ?? `${label} ${role}`) as unknown as GPUBuffer;
    if (host.small === role) return { buffer, size: 16 };
    return host.offset ? { buffer, offset: host.offset } : { buffer };
  }

  private buffer(name: string): FakeBuffer {
    const known = this.buffers.get(name);
    if (known) return known;
    const made = new FakeBuffer(undefined, { size: 1 << 24 });
    this.buffers.set(name, made);
    return made;
  }
}
