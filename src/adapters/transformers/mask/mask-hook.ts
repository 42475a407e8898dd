import { type Interception, intercept } from '../../shared/interception.ts';
import type { HubModel, HubTensor, ModelInputs, UpdateState } from '../runtime.ts';
import type { Tensors } from '../session-hook.ts';
import { GrowingMask } from './growing-mask.ts';
import { columnOf, isPlain, plain, same, tensorLike } from './plain-tensor.ts';
import { positionsFor, startOf } from './positions.ts';
import { baseOf, UPDATE, whyUnknown } from './update-function.ts';

type Updated = ModelInputs & { input_ids: HubTensor };
type Update = (state: UpdateState) => Updated;

/** Methods that take the positions from the update function to the session; what others do with them is not known. */
const CARRIERS = ['prepare_inputs_for_generation', 'forward'] as const;

/**
 * Keeps the attention mask of a generation in one growing array, where the library copies it element by element at every step. Positions
 * are spared, too, where the library counts them anew.
 *
 * The library's update function still runs, on a mask of one column. What it appends to that is appended to the mask.
 */
export class MaskHook {
  /** Why the masks are the library's; undefined if they are ours. */
  readonly unknown: string | undefined;
  private readonly base: Partial<HubModel> | undefined;
  private readonly interception: Interception | undefined;
  /** By the newest mask of each: the tensor of the library's, and the runtime's below it. */
  private readonly growing = new WeakMap<object, GrowingMask>();
  /** The function did once what it had not done when it was tried. */
  private surprised = false;

  /** @param enabled whether masks are to be kept now; otherwise the library's function is called as it is */
  constructor(
    private readonly model: HubModel,
    enabled: () => boolean,
  ) {
    this.unknown = whyUnknown(model);
    if (this.unknown !== undefined) return;
    this.base = baseOf(model);
    this.interception = intercept(model, UPDATE, (original, interception) => (state) => {
      const update: Update = (given) => original.call(model, given);
      return interception.active && enabled() && !this.surprised ? this.update(update, state) : update(state);
    });
  }

  /** Looks at the inputs of a run. Its positions tell whether those of the generation's next steps follow from the mask. */
  observe({ attention_mask: mask, position_ids: positions }: Tensors): void {
    const growing = mask && this.growing.get(mask);
    if (!growing || growing.start !== undefined || !positions) return;
    if (isPlain(mask) && isPlain(positions)) growing.start = startOf(mask, positions);
  }

  remove(): void {
    this.interception?.remove();
  }

  private update(update: Update, state: UpdateState): Updated {
    const { model_inputs } = state;
    const { attention_mask: mask } = model_inputs;
    const inner = plain(mask);
    if (state.is_encoder_decoder || !mask || !inner) return update(state);
    const last = columnOf(inner, -1);
    model_inputs.attention_mask = tensorLike(mask, last, [last.length, 1]);
    let updated: Updated;
    try {
      updated = update(state);
    } catch (error) {
      model_inputs.attention_mask = mask;
      throw error;
    }
    const column = columnBehind(last, updated.attention_mask);
    if (!column) {
      this.surprised = true;
      updated.attention_mask = mask;
      // It has taken the outputs, so that it gets none this time.
      return update({ ...state, outputs: {}, model_inputs: updated });
    }
    const growing = this.growing.get(mask) ?? new GrowingMask();
    const next = growing.append(updated.attention_mask!, inner, column);
    // What lies behind the older mask is taken: another continuation of it begins anew.
    for (const older of [mask, inner]) this.growing.delete(older);
    for (const newest of [next, next.ort_tensor]) this.growing.set(newest, growing);
    updated.attention_mask = next;
    updated.position_ids = this.positionsOf(next, growing.start) ?? null;
    return updated;
  }

  /** The positions of the next step; undefined if the library must make them. */
  private positionsOf(mask: HubTensor, start: number | undefined): HubTensor | undefined {
    const { model, base } = this;
    if (start === undefined || CARRIERS.some((name) => !base?.[name] || model[name] !== base[name]))
      return undefined;
    return positionsFor(mask, start);
  }
}

/** What the update function has put behind a mask of one column; undefined if it has done something else. */
function columnBehind(column: BigInt64Array, grown: HubTensor | undefined): BigInt64Array | undefined {
  const inner = plain(grown);
  if (inner?.dims[0] !== column.length || inner.dims[1] !== 2 || !same(columnOf(inner, 0), column))
    return undefined;
  return columnOf(inner, -1);
}
