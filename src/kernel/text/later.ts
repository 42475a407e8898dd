import { SiftError } from '../../errors.ts';
import { type WgslModule, wgslModule } from './module.ts';

type Texts = Readonly<Record<string, string>>;

/** The texts of all modules that come later, once they are there. */
let texts: Texts | undefined;

/** Has the texts at hand, so that nothing is loaded later: for entries of the package that must be whole. */
export function provideTexts(given: Texts): void {
  texts = given;
}

/** Names of the modules that come later. */
const names = new Set<string>();

/**
 * A module that few pages need: its text is loaded when a kernel is compiled that has it. The default policy does without these, so that
 * most pages never load them.
 */
export function laterModule(name: string): WgslModule {
  names.add(name);
  let module: WgslModule | undefined;
  const loaded = () => {
    const text = texts?.[name];
    if (text === undefined) throw new Error(`The text of ${name} was not loaded (src/kernel/text/later.ts).`);
    module ??= wgslModule(name, text);
    return module;
  };
  return {
    name,
    get text() {
      return loaded().text;
    },
    get constants() {
      return loaded().constants;
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
  if (texts || !modules.some(comesLater)) return;
  try {
    const { LATER_TEXTS } = await import('./later-texts.ts');
    provideTexts(LATER_TEXTS);
  } catch (cause) {
    const message =
      "The kernels that these options or this model need could not be loaded. Where no module can be loaded later, as in a service worker, import from 'sift-attention/transformers', 'sift-attention/web-llm' or 'sift-attention/kernel'.";
    throw new SiftError('UNSUPPORTED_RUNTIME', message, { cause });
  }
}
