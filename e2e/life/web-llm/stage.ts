// Where sequences on web-llm's engine are done, and a page for the same from the beginning.
import type { Page } from 'playwright';
import { type Counts, noCounts } from '../command.ts';
import type { Pages } from '../pages.ts';
import type { Play, Stage } from '../sequence.ts';
import type { Action, Answer } from './action.ts';
import { beginning, sequences } from './arbitrary.ts';
import { EngineCommand, EngineModel, type RealEngine } from './command.ts';
import type {} from './page.ts';

export class EngineStage implements RealEngine, Stage<Action> {
  counts: Counts = noCounts();
  readonly trace: Action[] = [];
  private subject: Promise<Page> | undefined;
  private fresh: Promise<Page> | undefined;

  constructor(private readonly pages: Pages) {}

  async act(action: Action): Promise<Answer> {
    this.trace.push(action);
    return (await this.page()).evaluate((action) => window.webLlm.act(action), action);
  }

  async replayed(actions: readonly Action[]): Promise<Answer> {
    this.fresh ??= this.newPage();
    return (await this.fresh).evaluate((actions) => window.webLlm.replay([...actions]), actions);
  }

  async finish(): Promise<string[]> {
    return (await this.page()).evaluate(() => window.webLlm.finish());
  }

  async renew(): Promise<void> {
    const page = await this.subject;
    this.subject = undefined;
    await page?.close();
  }

  private page(): Promise<Page> {
    this.subject ??= this.newPage();
    return this.subject;
  }

  private newPage(): Promise<Page> {
    return this.pages.page('/e2e/life/web-llm/page.html', 'webLlm');
  }
}

/** Sequences on web-llm. */
export function enginePlay(pages: Pages): Play<EngineModel, Action, EngineStage> {
  const stage = new EngineStage(pages);
  return {
    stage,
    sequences: sequences.map(([first, policy, rest]) => ({ first: beginning(first, policy), rest })),
    model: () => new EngineModel(),
    command: (action) => new EngineCommand(action),
    finish: () => stage.finish(),
  };
}
