import { createRandom } from '../../src/oracle/index.ts';

// Words of the forms that the project's models know (models: trained to recall codes by an adjective and a noun).
export const ADJECTIVES =
  'amber ancient arctic blue bold brass bright broken bronze calm copper coral crimson crystal dark deep desert distant dusty eastern emerald frozen gentle golden granite green grey hidden humble iron ivory jade lonely lunar marble misty noble northern old orange pearl quiet red royal ruby sandy scarlet secret silent silver southern steel stone sunny tall twin velvet violet western white wild winter wooden yellow'.split(
    ' ',
  );
export const NOUNS =
  'anchor arch badger barn beacon bear bell bridge brook canal castle cave chapel cliff cottage crane creek crow dock eagle falcon farm ferry field forest fort fountain fox garden gate grove hall harbor hill horse inn island lake lantern lion market meadow mill mine moon mountain oak orchard otter owl palace park path pine pond port quarry raven ridge river road school shore spring square star station stream swan temple tower trail tunnel valley village vine wall well willow wolf'.split(
    ' ',
  );

/** Forms of statement and question; {k} is the thing, {v} the code. */
export const FORMS = [
  {
    statement: ' The access code for the {k} is {v}. Remember it.',
    question: '\n\nQuestion: What is the access code for the {k}?\nAnswer: The access code for the {k} is',
  },
  {
    statement: ' Note that the number of the {k} is {v}.',
    question: '\n\nQuestion: What is the number of the {k}?\nAnswer: The number of the {k} is',
  },
  {
    statement: ' The key to the {k} is {v}.',
    question: '\n\nWhat is the key to the {k}? The key to the {k} is',
  },
] as const;

/** A statement, the question for it, and its answer. */
export interface Fact {
  statement: string;
  question: string;
  answer: string;
}

/** Draws integers below `n` from a seed. */
export function draws(seed: number): (n: number) => number {
  const random = createRandom(seed);
  return (n) => Math.min(n - 1, Math.floor(random.uniform() * n));
}

/** Facts about different things. */
export function facts(count: number, draw: (n: number) => number): Fact[] {
  const keys = new Set<string>();
  while (keys.size < count) keys.add(`${ADJECTIVES[draw(ADJECTIVES.length)]} ${NOUNS[draw(NOUNS.length)]}`);
  return [...keys].map((key) => {
    const { statement, question } = FORMS[draw(FORMS.length)]!;
    const code = Array.from({ length: 5 }, () => draw(10)).join('');
    const fill = (form: string) => form.replaceAll('{k}', key).replaceAll('{v}', code);
    return { statement: fill(statement), question: fill(question), answer: ` ${code}` };
  });
}
