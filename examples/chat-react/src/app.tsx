import { type FormEvent, useState } from 'react';
import type { Figures } from './messages.ts';
import { type Turn, useChat } from './use-chat.ts';

// ?model= is an id of the hub, or a folder of this server if it begins with a slash.
const query = new URLSearchParams(location.search);
const MODEL = query.get('model') ?? 'onnx-community/Qwen3-0.6B-ONNX';
const DTYPE = query.get('dtype') ?? 'q4f16';
const MAX_NEW_TOKENS = Number(query.get('tokens') ?? 1024);

export function App() {
  const [chat, send] = useChat();
  const [draft, setDraft] = useState('');
  const { phase, turns } = chat;

  function ask(event: FormEvent): void {
    event.preventDefault();
    const text = draft.trim();
    if (!text || phase !== 'ready') return;
    send({ type: 'ask', text, maxNewTokens: MAX_NEW_TOKENS });
    setDraft('');
  }

  return (
    <main>
      <header>
        <h1>Chat in a worker</h1>
        {phase !== 'start' && (
          <button
            type="button"
            disabled={phase !== 'ready' || turns.length === 0}
            onClick={() => send({ type: 'new chat' })}
          >
            New chat
          </button>
        )}
      </header>

      <section aria-label="Conversation" className="turns">
        {phase === 'start' && (
          <p>The model {MODEL} runs on your GPU, in a worker of this page. What you write stays here.</p>
        )}
        {turns.map((turn, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: turns are only added
          <Exchange key={i} turn={turn} />
        ))}
      </section>

      <p role="status">
        {phase === 'loading' && chat.progress}
        {phase === 'answering' && 'Writing…'}
        {phase === 'ready' && (chat.withoutSift ? `Without sift: ${chat.withoutSift}` : 'Ready, with sift.')}
      </p>
      {chat.error && <p role="alert">{chat.error}</p>}

      {phase === 'start' || phase === 'loading' || phase === 'lost' ? (
        <button
          type="button"
          className="main"
          disabled={phase === 'loading'}
          onClick={() => send({ type: 'load', model: MODEL, dtype: DTYPE })}
        >
          {phase === 'lost' ? 'Load again' : 'Load the model'}
        </button>
      ) : (
        <form onSubmit={ask}>
          <input
            aria-label="Message"
            placeholder="Message"
            value={draft}
            onChange={({ target }) => setDraft(target.value)}
          />
          {phase === 'answering' ? (
            <button type="button" onClick={() => send({ type: 'stop' })}>
              Stop
            </button>
          ) : (
            <button type="submit" className="main" disabled={phase !== 'ready'}>
              Send
            </button>
          )}
        </form>
      )}
    </main>
  );
}

function Exchange({ turn: { question, answer, figures, failed } }: { turn: Turn }) {
  return (
    <article>
      <p className="question">{question}</p>
      <p className="answer" aria-live="polite">
        {answer.trim() || (failed ? '' : '…')}
      </p>
      {failed && <p className="figures">Not answered. The chat goes on without this question.</p>}
      {figures && <Footer {...figures} />}
    </article>
  );
}

function Footer({ tokens, cached, tokensPerSecond, sentence }: Figures) {
  const speed = tokensPerSecond === null ? '' : `${tokensPerSecond.toFixed(1)} tokens a second · `;
  return (
    <p className="figures" title={sentence}>
      {speed}
      {tokens} tokens, {cached} kept from before
    </p>
  );
}
