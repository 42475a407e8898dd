// Tests assemble kernels without compiling them: all texts are at hand.
import { provideTexts } from '../kernel/text/later.ts';
import { LATER_TEXTS } from '../kernel/text/later-texts.ts';

provideTexts(LATER_TEXTS);
