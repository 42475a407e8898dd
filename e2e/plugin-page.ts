import { afterAll, beforeAll } from 'vitest';
import { type Models, openPage, type Session } from './browser.ts';
import type {} from './page/main.ts';

/**
 * The page with the real plugin (e2e/page/main.ts), open from before the first test of a file or `describe` until after the last.
 * @param query the page's query string, as `?subgroups`.
 * @param models served beside those of the repository
 */
export function pluginPage(query = '', models: Models = {}): Pick<Session, 'page'> {
  let session: Session;
  beforeAll(async () => {
    session = await openPage(`/e2e/page/index.html${query}`, undefined, models);
    await session.page.waitForFunction(() => 'sift' in window);
  });
  afterAll(async () => {
    await session?.close();
  });
  return {
    get page() {
      return session.page;
    },
  };
}
