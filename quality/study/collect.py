"""usage: collect.py ROWS.json OUT.json CONFIRM_FROM
       collect.py FOLDER OUT.json CONFIRM_FROM   (study.py's rows in FOLDER/MODEL-PROMPT.json)
A row per policy from study.py's rows (per policy and sequence): figures of the sequences that start before token CONFIRM_FROM (tune: levels
are chosen on them) and of the others (confirm). Figures are means over sequences, of the medians and quantiles, too. Of a folder, every
row has its model and prompt, and the mean KL of ranges of steps."""
import json, math, os, sys
import numpy as np

digits = lambda x: float(f'{x:.5g}')


def figures(part, ranges):
    mean = lambda name, default=1.0: digits(float(np.mean([r.get(name, default) for r in part])))
    out = {'ppl': digits(math.exp(float(np.mean([r['nll'] for r in part])))), 'klMean': mean('kl'), 'klMedian': mean('klMedian'), 'kl99': mean('kl99'),
           'top1': mean('top1'), 'keptHead': mean('head'), 'keptGroup': mean('group'), 'keptMass': mean('mass')}
    if ranges: out['klBySteps'] = {name: digits(float(np.mean([r['klBySteps'][name] for r in part]))) for name in part[0]['klBySteps']}
    return out


def lines_of(rows, border, head=None):
    for key in dict.fromkeys(json.dumps(r['policy']) for r in rows):
        own = [r for r in rows if json.dumps(r['policy']) == key]
        tune, confirm = [r for r in own if r['start'] < border], [r for r in own if r['start'] >= border]
        row = (head or {}) | {'policy': json.loads(key), 'tune': figures(tune, head), 'confirm': figures(confirm, head)}
        for name in ('beta', 'r2'):
            if name in own[0]: row[name] = digits(float(np.mean([r[name] for r in own])))
        yield json.dumps(row)


source, out, border = sys.argv[1], sys.argv[2], int(sys.argv[3])
if os.path.isdir(source):
    found = sorted((model, int(prompt)) for model, prompt in (name[:-5].split('-') for name in os.listdir(source)))
    lines = [line for model, prompt in found
             for line in lines_of(json.load(open(f'{source}/{model}-{prompt}.json')), border, {'model': model, 'prompt': prompt})]
else: lines = list(lines_of(json.load(open(source)), border))
open(out, 'w').write('[\n' + ',\n'.join(lines) + '\n]\n')
