import { useReducer, useRef } from 'react';
import type { Figures, FromWorker, ToWorker } from './messages.ts';

export interface Turn {
  readonly question: string;
  readonly answer: string;
  readonly figures?: Figures;
  /** The question was not answered, and is not part of the conversation. */
  readonly failed?: boolean;
}

export interface Chat {
  /** `lost`: the worker has to start anew. */
  readonly phase: 'start' | 'loading' | 'ready' | 'answering' | 'lost';
  readonly progress: string;
  readonly withoutSift: string | null;
  readonly error: string | null;
  readonly turns: readonly Turn[];
}

/** What a person can do, by the code of a SiftError. */
const ADVICE: Readonly<Record<string, string>> = {
  NO_WEBGPU: 'Use a current Chrome, Edge, Safari or Firefox, and a page over https.',
  OUT_OF_MEMORY: 'Close other tabs, choose a smaller model, or start a new chat.',
  DEVICE_LOST: 'The GPU is gone. Load the model again.',
  LATE_ENABLE: 'Reload the page.',
};

type Action = FromWorker | ToWorker;

const START: Chat = { phase: 'start', progress: '', withoutSift: null, error: null, turns: [] };

function reduce(chat: Chat, action: Action): Chat {
  /** The chat with changes to its last turn. */
  const inLast = (change: (turn: Turn) => Turn): readonly Turn[] =>
    chat.turns.map((turn, i) => (i < chat.turns.length - 1 ? turn : change(turn)));
  switch (action.type) {
    case 'load':
      return { ...START, phase: 'loading', progress: 'Loading…' };
    case 'progress':
      return { ...chat, progress: action.text };
    case 'ready':
      return { ...chat, phase: 'ready', withoutSift: action.withoutSift };
    case 'ask':
      return {
        ...chat,
        phase: 'answering',
        error: null,
        turns: [...chat.turns, { question: action.text, answer: '' }],
      };
    case 'text':
      return { ...chat, turns: inLast((turn) => ({ ...turn, answer: turn.answer + action.text })) };
    case 'answered':
      return { ...chat, phase: 'ready', turns: inLast((turn) => ({ ...turn, figures: action.figures })) };
    case 'new chat':
      return { ...chat, error: null, turns: [] };
    case 'failed': {
      const { code, message } = action;
      const error = [code && `${code}:`, message, code && ADVICE[code]].filter(Boolean).join(' ');
      const turns = chat.phase === 'answering' ? inLast((turn) => ({ ...turn, failed: true })) : chat.turns;
      // Without a model there is nothing to ask.
      return {
        ...chat,
        error,
        turns,
        phase: chat.phase === 'loading' || code === 'DEVICE_LOST' ? 'lost' : 'ready',
      };
    }
    default:
      return chat;
  }
}

/** A chat with a model in a worker. */
export function useChat(): [Chat, (message: ToWorker) => void] {
  const [chat, dispatch] = useReducer(reduce, START);
  const worker = useRef<Worker>(null);
  const send = (message: ToWorker) => {
    if (message.type === 'load') {
      // A new worker has a new GPU device, also after the old one was lost.
      worker.current?.terminate();
      worker.current = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
      worker.current.onmessage = ({ data }: MessageEvent<FromWorker>) => dispatch(data);
      worker.current.onerror = ({ message }) =>
        dispatch({ type: 'failed', code: null, message: message || 'The worker did not start.' });
    }
    dispatch(message);
    worker.current?.postMessage(message);
  };
  return [chat, send];
}
