// Tests assemble kernels without compiling them: all texts are at hand.
import { TEXTS } from '../kernel/text/later.ts';
import { LATER_TEXTS } from '../kernel/text/later-texts.ts';

TEXTS.part = { LATER_TEXTS };
