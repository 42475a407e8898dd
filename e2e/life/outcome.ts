import { SiftError } from '../../src/index.ts';

/** What came of a call of ours: `ok`, the code and message of a SiftError, or what else was thrown. */
export async function outcomeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return 'ok';
  } catch (error) {
    return error instanceof SiftError ? `${error.code}: ${error.message}` : `not a SiftError: ${error}`;
  }
}
