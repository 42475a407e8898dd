import type { SiftReport } from '../../../src/index.ts';
import { create } from './dom.ts';
import { bytes, count, percent } from './format.ts';

function figure(name: string, value: string, note: string): HTMLElement {
  return create(
    'div',
    { className: 'figure' },
    create('dt', { textContent: name }),
    create(
      'dd',
      {},
      create('strong', { textContent: value, className: value.length > 12 ? 'long' : '' }),
      create('small', { textContent: note }),
    ),
  );
}

/** From which length on steps sift. */
function crossover({ crossover: [first] }: SiftReport): HTMLElement {
  if (!first) return figure('Sifts from', '–', '');
  const value = first.siftFrom === null ? 'no length' : `${count(first.siftFrom)} keys`;
  if (first.source === 'given') return figure('Sifts from', value, 'as chosen; nothing was measured');
  const last = first.samples.at(-1);
  const longest = last ? `, up to ${count(last.length)} keys` : '';
  return figure('Sifts from', value, `faster from there on, ${first.source} on this device${longest}`);
}

/** Shows what a report counts. */
export function showNumbers(list: HTMLElement, reasons: HTMLElement, report: SiftReport): void {
  const { keysRead, keysSaved, shadowRead, valuesRead, valuesSaved } = report.bytes;
  const all = keysRead + keysSaved + valuesRead + valuesSaved;
  const saved = keysSaved + valuesSaved - shadowRead;
  const { version, tested, name } = report.runtime;
  const asked = report.policy.requestedKept;
  list.replaceChildren(
    figure(
      'V rows read',
      report.keptGroup === null ? '–' : percent(report.keptGroup),
      'in sifted steps, by at least one head of a KV group',
    ),
    figure(
      'Rows kept by a head',
      report.keptHead === null ? '–' : percent(report.keptHead),
      asked === null ? report.policy.target : `${percent(asked)} asked for`,
    ),
    figure(
      'K read',
      bytes(keysRead + shadowRead),
      report.policy.keys === 'shadow' ? `${bytes(shadowRead)} of its shadow among them` : 'all keys',
    ),
    figure('V read', bytes(valuesRead), 'warm-up included'),
    figure('Not read', bytes(saved), all > 0 ? `${percent(saved / all)} of all bytes of K and V` : ''),
    figure('Steps', `${count(report.steps.sifted)} sifted`, `${count(report.steps.dense)} read every row`),
    crossover(report),
    figure('Keys in the cache', count(report.length), 'prompt and generated tokens'),
    figure('Runtime', version ?? 'unknown', `${name}, ${tested ? 'tested version' : 'not a tested version'}`),
  );
  reasons.replaceChildren(
    ...(report.reasons.length > 0
      ? report.reasons.map(({ reason, count: times }) =>
          create('li', {}, create('b', { textContent: `${count(times)} ×` }), ` ${reason}`),
        )
      : [create('li', { textContent: 'Nothing to report.' })]),
  );
}
