import type { Random } from '../../../oracle/index.ts';
import { declarationsOf, type StandInProgram, textOf } from '../program.ts';

/**
 * What is known of a mutant.
 *
 * - `same`: it means what the program meant, and `Draft` says where each buffer and uniform is
 * - `refused`: what it binds, its label or the values that it is given show that it means something else, or may do so
 * - `hidden`: its text computes something else, or lets names trade places, and what it binds does not show that
 */
export type Truth = 'same' | 'refused' | 'hidden';

/** A program while it is being changed. */
export interface Draft {
  random: Random;
  program: StandInProgram;
  /** What the host writes to the uniforms, by their roles. */
  values: Record<string, number>;
  /** Changes of the pieces of text at module scope, before they are joined. */
  declarations: ((pieces: string[]) => string[])[];
  /** Changes of the whole text. */
  texts: ((text: string) => string)[];
  /** How the host binds the buffers. */
  host: {
    /** The bind group's entries are not listed by their numbers. */
    shuffled?: boolean;
    /** The entries bind buffers without a `GPUBufferBinding`. */
    bare?: boolean;
    /** Bytes from the beginning of each buffer to what is bound of it. */
    offset?: number;
    /** The same of the uniform buffer. */
    uniformOffset?: number;
    /** Role of a buffer that is smaller than the shape needs. */
    small?: string;
  };
}

/** A kind of change. */
export interface Change {
  name: string;
  truth: Truth;
  /**
   * Makes the change.
   * @returns what exactly was changed; undefined: there is nothing to change so
   */
  apply(draft: Draft): string | undefined;
}

export const pick = <T>(random: Random, list: readonly T[]): T => list[random.integer(list.length)]!;

export function shuffled<T>(random: Random, list: readonly T[]): T[] {
  const result = [...list];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/** A copy whose parts can be changed. */
export function copyOf(program: StandInProgram): StandInProgram {
  return structuredClone(program);
}

/** Replaces a whole word. */
export function replaceWord(text: string, word: string, by: string): string {
  return text.replace(new RegExp(`\\b${word}\\b`, 'g'), by);
}

/** Replaces a word in all that computes: the functions, and the lines of `main`. */
export function renameInBody(program: StandInProgram, word: string, by: string): void {
  program.globals = program.globals.map((line) => replaceWord(line, word, by));
  program.body = program.body.map((line) => replaceWord(line, word, by));
}

/** Lets two words trade places in all that computes. */
export function swapInBody(program: StandInProgram, a: string, b: string): void {
  renameInBody(program, a, 'trading_places');
  renameInBody(program, b, a);
  renameInBody(program, 'trading_places', b);
}

/** The WGSL of a draft. */
export function draftText({ program, declarations, texts }: Draft): string {
  const pieces = declarations.reduce((list, change) => change(list), declarationsOf(program));
  return texts.reduce((text, change) => change(text), textOf(program, pieces));
}

/** Whether a program is the first of an attention. */
export function isFirst({ label }: StandInProgram): boolean {
  return label === 'FlashAttentionDecodeQKV' || label === 'FlashAttentionDecodeQKT';
}
