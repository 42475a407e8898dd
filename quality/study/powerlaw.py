"""usage: powerlaw.py MODEL_DIR TOKENS OUT_JSON --name NAME [--prompts 256,512,1024,4096] [--taus 0.5,0.75,0.875,0.95] [--steps 1024] [--warmup 64] [--starts 0,1,...]
Does the tau-quantile of a head's probabilities follow a power law of the decode step, or of the length? Forced decoding with exact
attention; the exact quantile theta of every step, layer and head, at floor(tau (S - 1)). OUT_JSON has a table per model: that of NAME is
replaced. Per prompt, tau, axis and layer:

beta, r2, r2Median   least-squares fit of log theta on the warm-up's steps, as the paper makes it (mean over heads and sequences)
betaAll, r2All       the same fit on all steps: whether there is a power law at all, with 16 times the data
moved                how far log theta moves within the warm-up: its standard deviation there, nats (mean)
offset, error        the warm-up's fit held against the later steps: mean of (predicted - exact) log theta, and of its absolute value
offsetFixed, errorFixed   the same with the exponent fixed: 0 on the step axis (a constant), -1 on the length axis
"""
import argparse, json, os
import numpy as np
import torch
from model import DEVICE, Model
from policies import quantiles


def quantile_logs(model, ids, prompt, taus):
    """log theta [taus, layers, heads, steps] of the steps after the prompt."""
    cache, out = model.prefill(ids[:prompt]), []
    steps = len(ids) - prompt
    n = torch.arange(prompt + 1, prompt + steps + 1, device=DEVICE).float()

    def attend(i, q, s, k, v):
        p = s.softmax(-1)
        out.append(torch.stack([(quantiles(p, n, tau) + 1e-30).log() for tau in taus]))
        return (p.reshape(model.kv, -1, p.shape[-1]) @ v).view(p.shape[0], p.shape[1], -1)

    model.decode(ids[prompt:], cache, attend)
    return torch.stack(out, 1)


def fit(log_theta, x):
    """Least squares over the last axis: exponent, level and R2."""
    lx = x.log() - x.log().mean()
    dy = log_theta - log_theta.mean(-1, keepdim=True)
    beta = (dy * lx).sum(-1) / (lx * lx).sum()
    r2 = 1 - (dy - beta[..., None] * lx).pow(2).sum(-1) / dy.pow(2).sum(-1).clamp_min(1e-12)
    return beta, log_theta.mean(-1) - beta * x.log().mean(), r2


def by_layer(x):
    """Means of [sequences, layers, heads] over sequences and heads."""
    return [round(v, 5) for v in x.mean((0, 2)).tolist()]


def save(path, name, table):
    """Puts a model's table into the file, a line per row."""
    tables = (json.load(open(path)) if os.path.exists(path) else {}) | {name: table}
    text = lambda t: json.dumps({k: v for k, v in t.items() if k != 'rows'})[:-1] + ', "rows": [\n' + ',\n'.join(map(json.dumps, t['rows'])) + '\n]}'
    open(path, 'w').write('{\n' + ',\n'.join(f'{json.dumps(n)}: {text(t)}' for n, t in tables.items()) + '\n}\n')


@torch.no_grad()
def main():
    a = argparse.ArgumentParser()
    for name in ('model', 'tokens', 'out'): a.add_argument(name)
    a.add_argument('--name', required=True)
    a.add_argument('--prompts', default='256,512,1024,4096')
    a.add_argument('--taus', default='0.5,0.75,0.875,0.95')
    a.add_argument('--steps', type=int, default=1024)
    a.add_argument('--warmup', type=int, default=64)
    a.add_argument('--starts', default='0')
    a = a.parse_args()
    model, tokens = Model(a.model), torch.from_numpy(np.fromfile(a.tokens, dtype=np.uint16).astype(np.int64)).to(DEVICE)
    taus, w, rows = [float(t) for t in a.taus.split(',')], a.warmup, []
    starts = [int(s) for s in a.starts.split(',')]
    for prompt in map(int, a.prompts.split(',')):
        logs = torch.stack([quantile_logs(model, tokens[s:s + prompt + a.steps], prompt, taus) for s in starts])  # [sequences, taus, layers, heads, steps]
        for t, tau in enumerate(taus):
            y = logs[:, t]
            for axis in ('step', 'length'):
                x = torch.arange(1, a.steps + 1, device=DEVICE).float() + (prompt if axis == 'length' else 0)
                beta, level, r2 = fit(y[..., :w], x[:w])
                beta_all, _, r2_all = fit(y, x)
                error = level[..., None] + beta[..., None] * x[w:].log() - y[..., w:]
                exponent = 0.0 if axis == 'step' else -1.0
                fixed = (y[..., :w] - exponent * x[:w].log()).mean(-1, keepdim=True) + exponent * x[w:].log() - y[..., w:]
                rows.append(dict(prompt=prompt, tau=tau, axis=axis, beta=by_layer(beta), r2=by_layer(r2),
                                 r2Median=[round(v, 5) for v in r2.transpose(1, 2).flatten(0, 1).median(0).values.tolist()],
                                 betaAll=by_layer(beta_all), r2All=by_layer(r2_all), moved=by_layer(y[..., :w].std(-1)),
                                 offset=by_layer(error.mean(-1)), error=by_layer(error.abs().mean(-1)),
                                 offsetFixed=by_layer(fixed.mean(-1)), errorFixed=by_layer(fixed.abs().mean(-1))))
                r = rows[-1]
                print(f"{prompt:5d} {tau:5.3f} {axis:6s}", *(f"{k} {np.mean(r[k]):.3f}" for k in ('beta', 'r2', 'betaAll', 'r2All', 'offset', 'error', 'errorFixed')), flush=True)
        save(a.out, a.name, dict(steps=a.steps, warmup=w, starts=starts, rows=rows))


if __name__ == '__main__': main()
