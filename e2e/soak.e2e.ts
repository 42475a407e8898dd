// A short soak, by night: `SIFT_NIGHTLY=1`. `npm run soak` runs as many steps as there is time for.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../lab/root.ts';
import { soak, violations } from './soak/soak.ts';
import { someText } from './text.ts';

test.skipIf(process.env.SIFT_NIGHTLY !== '1')(
  'many conversations in one page leave nothing behind, and none has other tokens than in a fresh page',
  async () => {
    const result = await soak(
      {
        ...{ model: join(ROOT, 'models/tiny'), dtype: 'q4', quality: 'balanced', text: someText() },
        ...{ steps: 120, minutes: 60, prompt: 24, count: 6, again: 9 },
      },
      console.log,
    );
    expect(violations(result)).toEqual([]);
    expect(result.compared).toBeGreaterThan(1);
  },
);
