"""usage: screened_study.py DATA OUT [--plan full|reduced|quick] [--runs frontier,tasks,length,stress] [--seconds 420]
Both sides of the cache: the plan of screened_plan.py. DATA has tokens.bin (lab/tokenise.ts), tasks.json (quality/study/tasks.ts) and the
folders small and tiny of the models. OUT/screened-rows.json gets a row per run, sequence (or task) and policy. It is written after each
of them, so that what was measured is there if time runs out; collect_screened.py makes the committed file of it."""
import argparse, json, os, sys, time
import numpy as np

try: import torch
except ImportError: sys.exit('PyTorch is not installed here: no study.')
MACHINE = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
print(f'PyTorch {torch.__version__}, {MACHINE}', flush=True)

from forced import decoded, divergence, means, text_rows
from model import DEVICE, Model
from screened import attend
from screened_plan import PLANS


def of_text(run, model, tokens, enough):
    """Rows of each sequence of a run."""
    for start in run['starts']:
        if enough(): return
        ids = tokens[start:start + run['prompt'] + run['steps'] + 1]
        rows = text_rows(model, ids, run['prompt'], run['policies'], run['warmup'], attend)
        yield f'at {start}', [dict(start=start) | row | means(figures) for row, _, figures in rows]


def of_tasks(run, model, tasks, enough):
    """A row per task and policy: which answers are given, and by how much the distributions differ, over all items. Every step is sifted."""
    for name in run['tasks']:
        if enough(): return
        found = {}
        for item in tasks[name]:
            prompt, steps = torch.tensor(item['prompt'], device=DEVICE), torch.tensor(item['decode'], device=DEVICE)
            base = None
            for policy, log_p, figures in decoded(model, prompt, steps[:-1], run['policies'], 0, attend):
                if base is None: base = log_p
                row = found.setdefault(json.dumps(policy), dict(task=name, policy=policy, answers=[], kl=[]))
                hit = log_p.argmax(1) == steps[1:]
                row['answers'] += [int(hit[a - 1:b - 1].all()) for a, b in item['answers']]
                row['kl'].append(divergence(base, log_p).mean().item())
                for key, value in means(figures).items(): row.setdefault(key, []).append(value)
        mean = lambda row: {k: float(np.mean(v)) if isinstance(v, list) and k != 'answers' else v for k, v in row.items()}
        yield name, list(map(mean, found.values()))


@torch.no_grad()
def main():
    a = argparse.ArgumentParser()
    a.add_argument('data'); a.add_argument('out')
    a.add_argument('--plan', choices=PLANS, default='full')
    a.add_argument('--runs', default='frontier,tasks,length,stress')
    a.add_argument('--seconds', type=int, default=420)
    a = a.parse_args()
    begun, rows = time.time(), []
    enough = lambda: time.time() - begun > a.seconds
    tokens = torch.from_numpy(np.fromfile(f'{a.data}/tokens.bin', dtype=np.uint16).astype(np.int64)).to(DEVICE)
    tasks = json.load(open(f'{a.data}/tasks.json'))
    os.makedirs(a.out, exist_ok=True)
    for run in PLANS[a.plan]():
        if run['run'] not in a.runs.split(','): continue
        model = Model(f"{a.data}/{run['model']}")
        if 'stress' in run: model.stress(run['stress'])
        head = {key: run[key] for key in ('run', 'model', 'prompt', 'steps') if key in run}
        measured = of_tasks(run, model, tasks, enough) if 'tasks' in run else of_text(run, model, tokens, enough)
        for what, found in measured:
            rows += [head | row for row in found]
            json.dump(dict(plan=a.plan, machine=MACHINE, rows=rows), open(f'{a.out}/screened-rows.json', 'w'))
            print(f"{time.time() - begun:.0f} s: {head} {what}, {len(found) - 1} policies", flush=True)
    print(f'{len(rows)} rows in {time.time() - begun:.0f} s' + (', OUT OF TIME' if enough() else ''), flush=True)


main()
