import { describeShape } from '../../kernel/shape.ts';
import type { AttentionEncoder } from '../../kernel/step/encoder.ts';
import type { Observation } from './observe.ts';
import type { Proof } from './prove.ts';
import type { OrtSession } from './runtime.ts';

/** What was found out about a session when sift was enabled on it before. */
export interface KnownSession {
  /** What its first trial showed. It holds for the device of its hook. */
  readonly observation: Observation;
  /** What was proved, by {@link subjectOf}. */
  readonly proofs: ReadonlyMap<string, Proof>;
}

const sessions = new WeakMap<OrtSession, { observation: Observation; proofs: Map<string, Proof> }>();

/** What is known of a session. */
export function knownSession(session: OrtSession): KnownSession | undefined {
  return sessions.get(session);
}

/**
 * What a proof on a session is about, besides the session's own programs, which stay: our kernels, which a device compiles once for a
 * shape and a variant, and whether a shared cache was tried.
 */
export function subjectOf(
  encoders: ReadonlyMap<string, AttentionEncoder>,
  wantsSharedCache: boolean,
): string {
  const kernels = [...encoders.values()].map(({ shape, variant }) => {
    const { kv, ...numbers } = variant;
    return [describeShape(shape), kv.name, numbers];
  });
  return JSON.stringify([kernels, wantsSharedCache]);
}

/**
 * Keeps what was found out, for the next time that sift is enabled on the session. A shared cache that was refused is not kept, because
 * the reason may have passed, such as a lack of memory.
 */
export function rememberSession(
  session: OrtSession,
  { deviceHook, observer }: Observation,
  subject: string,
  proof: Proof,
  wantsSharedCache: boolean,
): void {
  if (wantsSharedCache && typeof proof.sharedCache === 'string') return;
  const known = sessions.get(session);
  if (known?.observation.deviceHook === deviceHook) known.proofs.set(subject, proof);
  else sessions.set(session, { observation: { deviceHook, observer }, proofs: new Map([[subject, proof]]) });
}
