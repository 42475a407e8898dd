// Where sequences on transformers.js are done, and where what is expected of them comes from.
import type { Page } from 'playwright';
import { type Action, type Outcome, POLICY_NAMES, type PolicyName, type Script } from './action.ts';
import { beginning, sequencesOf } from './arbitrary.ts';
import { ActionCommand, type Counts, isStock, noCounts, type Real } from './command.ts';
import { LifeModel } from './model.ts';
import type { Answer } from './page/main.ts';
import type { Pages } from './pages.ts';
import type { Play, Stage } from './sequence.ts';

/** Sequences after which the page is loaded anew. */
const SEQUENCES_PER_PAGE = 40;

export class HubStage implements Real, Stage<Action> {
  counts: Counts = noCounts();
  readonly trace: Action[] = [];
  private readonly known = new Map<string, Promise<Outcome>>();
  private subject: Promise<Page> | undefined;
  private sequences = 0;
  private readonly others = new Map<'stock' | 'sift', Promise<Page>>();

  /**
   * @param apart what is expected comes from pages of its own, of which one never enables sift; else from other pipelines of the same
   * page, which have the same programs and need not compile them again
   */
  constructor(
    private readonly pages: Pages,
    private readonly apart: boolean,
  ) {}

  async act(action: Action): Promise<Answer> {
    this.trace.push(action);
    return (await this.page()).evaluate((action) => window.life.act(action), action);
  }

  expected(script: Script): Promise<Outcome> {
    const kind = isStock(script) ? 'stock' : 'sift';
    const key = JSON.stringify(script);
    let known = this.known.get(key);
    if (!known) {
      const page = this.apart ? this.other(kind) : this.page();
      known = page.then((page) =>
        page.evaluate(([script, kind]) => window.life.replay(script, kind), [script, kind] as const),
      );
      this.known.set(key, known);
    }
    return known;
  }

  async finish(lost: boolean): Promise<string[]> {
    const left = await (await this.page()).evaluate((lost) => window.life.finish(lost), lost);
    this.known.clear();
    if (++this.sequences % SEQUENCES_PER_PAGE === 0) await this.renew();
    return left;
  }

  async renew(): Promise<void> {
    this.known.clear();
    const page = await this.subject;
    this.subject = undefined;
    await page?.close();
  }

  private page(): Promise<Page> {
    this.subject ??= this.newPage();
    return this.subject;
  }

  private other(kind: 'stock' | 'sift'): Promise<Page> {
    let page = this.others.get(kind);
    if (!page) {
      page = this.newPage();
      this.others.set(kind, page);
    }
    return page;
  }

  private newPage(): Promise<Page> {
    return this.pages.page('/e2e/life/page/index.html', 'life');
  }
}

interface HubOptions {
  /** See {@link HubStage}. */
  readonly apart?: boolean;
  /** Those that sift is enabled with; the kernels of each take the software adapter seconds to compile. */
  readonly policies?: readonly PolicyName[];
}

/** Sequences on transformers.js. */
export function hubPlay(
  pages: Pages,
  { apart = false, policies = POLICY_NAMES }: HubOptions = {},
): Play<LifeModel, Action, HubStage> {
  const stage = new HubStage(pages, apart);
  return {
    stage,
    sequences: sequencesOf(policies).map(([slot, policy, rest]) => ({
      first: beginning(slot, policy),
      rest,
    })),
    model: () => new LifeModel(),
    command: (action) => new ActionCommand(action),
    finish: ({ lost }) => stage.finish(lost),
  };
}
