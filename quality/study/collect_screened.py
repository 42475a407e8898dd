"""usage: collect_screened.py ROWS.json [MORE_ROWS.json ...] OUT.json
The committed file of screened_study.py's rows, which may come from several runs of one plan on one kind of machine. It has one row per
run, model, length and policy. Figures are means over the sequences of the first and of the second half of the text; bytes are shares of
those of all K and V in f16. Tasks have the answers of all items: how many are right, and how many are not as exact attention's."""
import json, math, sys
import numpy as np
from screened_plan import HALF

NAMES = {'kl': 'klMean', 'klMedian': 'klMedian', 'kl99': 'kl99', 'top1': 'top1', 'head': 'keptHead', 'group': 'keptGroup', 'mass': 'keptMass',
         'exact': 'exactKeys', 'bytes_shadow': 'bytesShadow', 'bytes_k': 'bytesK', 'bytes_v': 'bytesV', 'bytes_fixed': 'bytesFixed'}
digits = lambda x: float(f'{x:.5g}')
same = lambda row, names: json.dumps([row.get(name) for name in names])


def figures(rows):
    mean = lambda name: digits(float(np.mean([row[name] for row in rows])))
    out = {'sequences': len(rows), 'ppl': digits(math.exp(float(np.mean([row['nll'] for row in rows]))))}
    return out | {to: mean(name) for name, to in NAMES.items() if all(name in row for row in rows)}


def text_lines(rows):
    head = ('run', 'model', 'prompt', 'steps')
    for key in dict.fromkeys(same(row, (*head, 'policy')) for row in rows):
        own = [row for row in rows if same(row, (*head, 'policy')) == key]
        halves = {'first': [row for row in own if row['start'] < HALF], 'second': [row for row in own if row['start'] >= HALF]}
        yield {name: own[0][name] for name in (*head, 'policy')} | {half: figures(part) for half, part in halves.items() if part}


def task_lines(rows):
    for row in rows:
        exact = next(other for other in rows if other['policy'] is None and same(other, ('model', 'task')) == same(row, ('model', 'task')))
        unlike = sum(a != b for a, b in zip(row['answers'], exact['answers']))
        out = {'run': 'tasks', 'model': row['model'], 'task': row['task'], 'policy': row['policy'], 'asked': len(row['answers']),
               'right': sum(row['answers']), 'unlike': unlike}
        yield out | {to: digits(row[name]) for name, to in NAMES.items() if name in row}


*sources, out = sys.argv[1:]
studies = [json.load(open(source)) for source in sources]
head, *others = [json.dumps({'plan': study['plan'], 'machine': study['machine']})[:-1] for study in studies]
assert all(other == head for other in others), 'The files are of several plans or machines.'
rows = [row for study in studies for row in study['rows']]
lines = [*text_lines([row for row in rows if row['run'] != 'tasks']), *task_lines([row for row in rows if row['run'] == 'tasks'])]
open(out, 'w').write(f'{head}, "rows": [\n' + ',\n'.join(map(json.dumps, lines)) + '\n]}\n')
