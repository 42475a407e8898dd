import { LaterPart } from '../../later-part.ts';
import type { WgslModule } from './module.ts';

type Texts = Readonly<Record<string, string>>;

/** The texts of all modules that come later. */
export const TEXTS = new LaterPart<{ readonly LATER_TEXTS: Texts }>(
  'The kernels that these options or this model need',
  () => import('./later-texts.ts'),
);

/** Names of the modules that come later. */
const names = new Set<string>();

/**
 * A module that few pages need: its text is loaded when a kernel is compiled that has it. The default policy does without these, so that
 * most pages never load them.
 */
export function laterModule(name: string): WgslModule {
  names.add(name);
  return {
    name,
    get text() {
      const text = TEXTS.part?.LATER_TEXTS[name];
      if (text === undefined)
        throw new Error(`The text of ${name} was not loaded (src/kernel/text/later.ts).`);
      return text;
    },
  };
}

/** Whether the text of a module comes later. */
export function comesLater({ name }: WgslModule): boolean {
  return names.has(name);
}

/**
 * Loads the texts that these modules lack.
 * @throws {SiftError} `UNSUPPORTED_RUNTIME` where they cannot be loaded
 */
export async function loadTexts(modules: readonly WgslModule[]): Promise<void> {
  if (modules.some(comesLater)) await TEXTS.get();
}
