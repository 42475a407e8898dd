"""usage: study.py MODEL_DIR TOKENS OUT_JSON PLAN [--prompt 4096] [--steps 1024] [--warmup 64] [--starts 0,1,...] [--seconds N]
Forced decoding under many policies, against exact attention. PLAN: a JSON list of policies (see policies.py). Figures are over the
steps after the warm-up, a row per policy and sequence; klBySteps has the mean KL of some ranges of steps."""
import argparse, json, math, time
import numpy as np
import torch
from forced import means, text_rows
from model import DEVICE, Model
from policies import attend


@torch.no_grad()
def main():
    a = argparse.ArgumentParser()
    for name in ('model', 'tokens', 'out', 'plan'): a.add_argument(name)
    for name, value in (('prompt', 4096), ('steps', 1024), ('warmup', 64), ('seconds', 10 ** 6)): a.add_argument('--' + name, type=int, default=value)
    a.add_argument('--starts', default='0')
    a = a.parse_args()
    model, tokens = Model(a.model), torch.from_numpy(np.fromfile(a.tokens, dtype=np.uint16).astype(np.int64)).to(DEVICE)
    plan, begun, rows = json.load(open(a.plan)), time.time(), []
    for start in map(int, a.starts.split(',')):
        ids = tokens[start:start + a.prompt + a.steps + 1]
        w = a.warmup
        whole = lambda policy, i, q, s, k, v, *rest: attend(policy, i, s, k, v, *rest)
        for row, kl, figures in text_rows(model, ids, a.prompt, plan, w, whole):
            edges = [w] + [e for e in (64, 128, 256, 512) if w < e < a.steps] + [a.steps]
            row |= dict(start=start, klBySteps={f'{i + 1}-{j}': kl[i - w:j - w].mean().item() for i, j in zip(edges, edges[1:])})
            rows.append(row | means(figures) | {'groupByLayer': [round(x, 4) for x in figures.get('group', [])]})
            if time.time() - begun > a.seconds: break
        print(f'{time.time() - begun:.0f} s: {start}', flush=True)
        json.dump(rows, open(a.out, 'w'))
    for key in dict.fromkeys(json.dumps(r['policy']) for r in rows):
        z = [r for r in rows if json.dumps(r['policy']) == key]
        m = lambda name: np.mean([r.get(name, 1) for r in z])
        print(f"{key[:110]:110s} ppl {math.exp(m('nll')):.3f} KL {m('kl'):.5f} med {m('klMedian'):.5f} top1 {m('top1'):.4f} head {m('head'):.3f} group {m('group'):.3f} mass {m('mass'):.4f}")


main()
