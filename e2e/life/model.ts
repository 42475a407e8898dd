// What should be so after each action: the model that a sequence of life is held against.
import {
  type Action,
  type Call,
  isExact,
  MODEL_OF_SLOT,
  type Part,
  type PolicyName,
  type Script,
} from './action.ts';

/** What a pipeline should be like. */
export interface SlotModel {
  /** Sift on it, if it has one. */
  sift: { policy: PolicyName; on: boolean } | undefined;
}

/** A conversation whose cache the app keeps. */
export interface ChatModel {
  slot: number;
  parts: Part[];
  /** Tokens so far; infinite if it cannot be gone on with. */
  length: number;
}

/** Actions of a sequence at most. */
export const MAX_ACTIONS = 14;

/** Positions that the models have. */
export const POSITIONS = 1024;

export class LifeModel {
  readonly slots: (SlotModel | undefined)[] = [];
  readonly chats: ChatModel[] = [];
  /** Wrappers of another library's that are in place. */
  wrappers = 0;
  /** It has taken wrappers away without looking, and the plugin's with them: what is enabled may not see the runtime any more. */
  blind = false;
  /** An app's own error has lost caches. */
  lost = false;
  /** Actions so far. */
  done = 0;

  /** Whether an action makes sense now. */
  allows(action: Action): boolean {
    if (this.done >= MAX_ACTIONS) return false;
    const slot = 'slot' in action ? this.slots[action.slot] : undefined;
    const other = 'other' in action ? this.slots[action.other] : undefined;
    const chat = 'chat' in action ? this.chats[action.chat] : undefined;
    switch (action.do) {
      case 'load':
        return !slot;
      case 'enable':
        // On a pipeline that has sift it is refused.
        return slot !== undefined && this.bears(action.policy);
      case 'enable twice':
        return slot !== undefined && !slot.sift && this.bears(action.policy);
      case 'enable both':
        return action.slot !== action.other && free(slot) && free(other) && this.bears(action.policy);
      case 'enable while generating':
        if (!free(slot) || !other || !this.bears(action.policy)) return false;
        // On the pipeline itself, sift begins somewhere in the generation: only where that makes no difference.
        return action.slot !== action.other
          ? this.allowsCall(action.other, action.call)
          : isExact(action.policy) && action.call.interjection === null;
      case 'unload while enabling':
        return free(slot);
      case 'switch on':
      case 'switch off':
      case 'dispose':
      case 'report':
        return slot?.sift !== undefined;
      case 'generate':
        return this.allowsCall(action.slot, action.call);
      case 'generate together':
        return (
          action.slot !== action.other &&
          this.allowsCall(action.slot, action.call) &&
          this.allowsCall(action.other, action.otherCall) &&
          // The library has one source of random numbers.
          action.call.kind !== 'sample' &&
          action.otherCall.kind !== 'sample'
        );
      case 'begin chat':
        return this.allowsCall(action.slot, action.call) && action.call.prompts.length === 1;
      case 'go on':
        return (
          chat !== undefined &&
          this.allowsCall(chat.slot, action.call) &&
          action.call.prompts.length === 1 &&
          chat.length + action.call.prompts[0]!.length + action.call.count < POSITIONS
        );
      case 'crop':
        return chat !== undefined && Number.isFinite(chat.length) && action.length < chat.length;
      case 'two continuations':
        return chat !== undefined && Number.isFinite(chat.length);
      case 'forget chat':
        return chat !== undefined;
      case 'wrap':
        return slot !== undefined;
      case 'unwrap':
        return (
          action.which < this.wrappers &&
          (!action.blindly || this.slots.every((each) => isExact(each?.sift?.policy ?? null)))
        );
      default:
        return slot !== undefined;
    }
  }

  /** The conversation of a call that begins one. */
  scriptOf(slot: number, call: Call): Script {
    return { model: MODEL_OF_SLOT[slot]!, parts: [this.part(slot, call)] };
  }

  /** A call as it is made now. */
  part(slot: number, call: Call): Part & { call: Call } {
    const { sift } = this.slots[slot]!;
    return { call, policy: sift?.policy ?? null, on: sift?.on ?? false };
  }

  /** An interjection was made, if the call came to it. */
  interject(slot: number, call: Call): void {
    const { interjection, count, stopAt, throwAt } = call;
    const each = this.slots[slot]!;
    const last = Math.min(count, stopAt ?? count, throwAt ?? count);
    if (!each.sift || !interjection || interjection.at > last) return;
    if (interjection.does === 'dispose') each.sift = undefined;
    else if (interjection.does !== 'report') each.sift.on = interjection.does === 'enable';
  }

  /** Whether sift with a policy would do the same as ever. */
  private bears(policy: PolicyName): boolean {
    return !this.blind || isExact(policy);
  }

  private allowsCall(slot: number, call: Call): boolean {
    return this.slots[slot] !== undefined && (call.throwAt === null || call.throwAt <= call.count);
  }
}

const free = (slot: SlotModel | undefined): boolean => slot !== undefined && !slot.sift;
