"""usage: collect.py ROWS.json OUT.json CONFIRM_FROM
A row per policy from study.py's rows (per policy and sequence): figures of the sequences that start before token CONFIRM_FROM (tune: levels
are chosen on them) and of the others (confirm). Figures are means over sequences, of the medians and quantiles, too."""
import json, math, sys
import numpy as np

rows_path, out, border = sys.argv[1], sys.argv[2], int(sys.argv[3])
rows = json.load(open(rows_path))
digits = lambda x: float(f'{x:.5g}')


def figures(part):
    mean = lambda name, default=1.0: float(np.mean([r.get(name, default) for r in part]))
    return {'ppl': digits(math.exp(mean('nll'))), 'klMean': digits(mean('kl')), 'klMedian': digits(mean('klMedian')), 'kl99': digits(mean('kl99')),
            'top1': digits(mean('top1')), 'keptHead': digits(mean('head')), 'keptGroup': digits(mean('group')), 'keptMass': digits(mean('mass'))}


lines = []
for key in dict.fromkeys(json.dumps(r['policy']) for r in rows):
    own = [r for r in rows if json.dumps(r['policy']) == key]
    row = {'policy': json.loads(key), 'tune': figures([r for r in own if r['start'] < border]), 'confirm': figures([r for r in own if r['start'] >= border])}
    for name in ('beta', 'r2'):
        if name in own[0]: row[name] = digits(float(np.mean([r[name] for r in own])))
    lines.append(json.dumps(row))
open(out, 'w').write('[\n' + ',\n'.join(lines) + '\n]\n')
