import type { Comparison, InspectedStep, SiftReport, SiftSummary } from '../../../src/index.ts';
import type { View } from './view.ts';

/** What happened in a session, and when: milliseconds since it began. */
export type RecordedEvent = { at: number } & (
  | { kind: 'begin'; question: string; expected: string | undefined; tokens: string[] }
  | { kind: 'say'; text: string; tokens: number; milliseconds: number | null }
  | { kind: 'step'; step: InspectedStep }
  | { kind: 'answered' }
  | { kind: 'compared'; comparison: Comparison }
  | { kind: 'details'; report: SiftReport; summary: SiftSummary }
);

/** A session that was recorded (record.ts). */
export interface Recording {
  /** What it ran on, in words. */
  machine: string;
  model: string;
  date: string;
  events: RecordedEvent[];
}

/** A part of an event, without its time. */
type Part = RecordedEvent extends infer E ? (E extends RecordedEvent ? Omit<E, 'at'> : never) : never;

/** Notes what happens. */
export class Recorder {
  readonly events: RecordedEvent[] = [];
  private readonly start = performance.now();

  note(part: Part): void {
    this.events.push({ at: performance.now() - this.start, ...part } as RecordedEvent);
  }
}

/** JSON keeps no typed arrays: bits are arrays of numbers there. */
export const packed = (recording: Recording): string =>
  JSON.stringify(recording, (_, value) => (value instanceof Uint32Array ? [...value] : value));

/** Plays a recording, in the time that it took but for long waits. */
export async function play(recording: Recording, view: View, signal: AbortSignal): Promise<void> {
  let before = 0;
  let expected: string | undefined;
  for (const event of recording.events) {
    await pause(Math.min(700, event.at - before), signal);
    before = event.at;
    switch (event.kind) {
      case 'begin':
        expected = event.expected;
        view.begin(event.tokens);
        break;
      case 'say':
        view.say(event.text, event.tokens, event.milliseconds ?? Number.NaN);
        break;
      case 'step':
        view.step(withBits(event.step));
        break;
      case 'answered':
        view.judge(expected);
        break;
      case 'compared':
        view.compared(event.comparison);
        break;
      case 'details':
        view.details(event.report, event.summary);
        break;
    }
  }
}

const withBits = (step: InspectedStep): InspectedStep => ({
  ...step,
  layers: step.layers.map((layer) => ({
    ...layer,
    heads: layer.heads.map((head) => ({ ...head, bits: Uint32Array.from(head.bits) })),
  })),
});

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
