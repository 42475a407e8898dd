"""Attention policies for decode steps, all steps of a sequence at once. A policy is a dict:

target   how a threshold is found: quantile (v: tau), mass (v: epsilon), uniform (v: c of c/S), probability (v: p);
         or a baseline: topk (v: rows), window (v: newest rows), skip (v: lambda of skip-softmax), h2o (v: share of the rows)
law      for quantile and mass: length (falls as 1/S; default), step (free fit on the decode step), length-free (free fit on S),
         prior (free fit shrunk to -1), oracle (the exact one of every step); learned in the first w steps, refit: every m steps
sel      head (default: each head by its own p), sum | l2 | max: one decision per KV group on that norm of its heads' p
share    a row that one head reads serves its group (implied by sel sum, l2, max)
fix      what stands for the dropped mass: renorm (default), none, mean (mean of all V), drop (mean of the dropped V),
         block (means of blocks of `block` rows, weighted by the mass dropped in each), warm (tail output learned in the warm-up),
         cov (first-order expansion in q; its moments are those of the prompt's rows, or with `moments` measured again while decoding:
         every N steps, whenever the length has grown by F (`xF`), or both (`xF,N`)), warmcov (the same about the warm-up's mean query), kreg (regression of V on K)
norm     log-normaliser that p is judged with: exact (default), or an estimate that one pass over the keys has: see estimate()
weight   factor of p when it is judged: v (norm of v - mean V), o (norm of its contribution to the residual stream)
layers   factor of the threshold per layer
paper    nothing is always kept (the newest row is kept otherwise)"""
import math
import torch
from model import DEVICE

INF = math.inf


def quantiles(p, n, tau):
    """Order statistic floor(tau (n - 1)) of the first n of every row; p is 0 beyond."""
    width = p.shape[-1]
    index = (width - n) + (tau * (n - 1)).floor()
    return p.sort(-1).values.gather(-1, index.long()[None, :, None].expand(*p.shape[:2], 1))[..., 0]


def mass_thresholds(p, epsilon):
    s = p.sort(-1).values
    at = (s.cumsum(-1) <= epsilon * s.sum(-1, keepdim=True)).sum(-1, keepdim=True).clamp_max(p.shape[-1] - 1)
    return s.gather(-1, at)[..., 0]


def fit(log_theta, x, law):
    """Power law on the steps given: (level, exponent) with log theta = level + exponent * log x."""
    lx = x.log()
    my, mx = log_theta.mean(1, keepdim=True), lx.mean()
    dx, dy = lx - mx, log_theta - my
    if law == 'length': beta = torch.full_like(my, -1)
    else:
        sxx, sxy = (dx * dx).sum(), (dx * dy).sum(1, keepdim=True)
        beta = sxy / sxx
        if law == 'prior':
            s2 = (dy - beta * dx).pow(2).sum(1, keepdim=True) / (len(x) - 2)
            beta = (sxy * 0.04 - s2) / (sxx * 0.04 + s2)
    r2 = 1 - (dy - beta * dx).pow(2).sum(1) / dy.pow(2).sum(1).clamp_min(1e-12)
    return my - beta * mx, beta, r2


def thresholds(c, p, n, w, figures):
    """[rows, steps] thresholds of probabilities p [rows, steps, keys]."""
    target, v, law = c['target'], c['v'], c.get('law', 'length')
    steps = p.shape[1]
    if target == 'uniform': return (v / n)[None].expand(p.shape[0], steps)
    if target == 'probability': return torch.full(p.shape[:2], v, device=DEVICE)
    exact = (lambda a, b: quantiles(p[:, a:b], n[a:b], v)) if target == 'quantile' else (lambda a, b: mass_thresholds(p[:, a:b], v))
    if law == 'oracle': return exact(0, steps)
    x = torch.arange(1, steps + 1, device=DEVICE).float() if law == 'step' else n
    out, end, m = torch.zeros(p.shape[:2], device=DEVICE), w, c.get('refit', 0)
    while end < steps:
        log = (exact(end - w, end) + 1e-30).log()
        level, beta, r2 = fit(log, x[end - w:end], law)
        figures.setdefault('beta', []).append(beta.mean().item()); figures.setdefault('r2', []).append(r2.mean().item())
        stop = min(steps, end + m) if m else steps
        out[:, end:stop] = (level + beta * x[end:stop].log()[None]).exp()
        end = stop
    return out


def estimate(s, n, how):
    """Log-normalisers that are known before or while the keys are read once.
    bound:A,B   log-sum-exp of the first A keys and the newest B: a lower bound, so that more rows are kept, never fewer
    chunk:A,B,C the same with the exact sum of the row's own chunk of C keys added: what a workgroup knows; [.., keys]
    prev:M      the previous step's, less M nats
    max:A,B,M   the larger of bound:A,B and prev:M
    sample:A,B,N,D   bound:A,B and N of the keys between, spread evenly, each for all those it stands for; but the
                largest for itself alone (D = -1), or none for more than 1/D of the bound (D > 0), so that a lucky hit does not
                raise the threshold; D = 0: no such limit"""
    kind, _, rest = how.partition(':')
    a = [float(x) for x in rest.split(',')] if rest else []
    lse = s.logsumexp(-1)
    previous = torch.cat([lse[:, :1], lse[:, :-1]], 1)
    if kind == 'prev': return (previous - a[0])[..., None]
    keys = torch.arange(s.shape[-1], device=DEVICE)
    known = (keys[None] < a[0]) | (keys[None] >= n[:, None] - a[1])
    bound = s.masked_fill(~known[None], -INF).logsumexp(-1)
    if kind == 'bound': return bound[..., None]
    if kind == 'max': return torch.maximum(bound, previous - a[2])[..., None]
    if kind == 'sample':
        between = n - a[0] - a[1]
        at = (a[0] + ((torch.arange(a[2], device=DEVICE)[None] + 0.5) * (between / a[2])[:, None]).floor()).long()
        hit = s.gather(-1, at[None].expand(s.shape[0], -1, -1)) - bound[..., None]
        weight = (between / a[2]).log().clamp_min(0)[None, :, None]
        if a[3] < 0: return torch.logaddexp(bound, bound + (hit + weight * (hit < hit.amax(-1, keepdim=True))).logsumexp(-1))[..., None]
        limit = torch.maximum(hit, torch.full_like(hit, -math.log(a[3]))) if a[3] else torch.full_like(hit, INF)
        return torch.logaddexp(bound, bound + torch.minimum(hit + weight, limit).logsumexp(-1))[..., None]
    size = int(a[2]); pad = -s.shape[-1] % size
    chunks = torch.nn.functional.pad(s.masked_fill(known[None], -INF), (0, pad), value=-INF).unflatten(-1, (-1, size)).logsumexp(-1)
    return torch.logaddexp(chunks, bound[..., None]).repeat_interleave(size, -1)[..., :s.shape[-1]]


def combine_group(p, sel, group):
    g = p.view(-1, group, *p.shape[1:])
    if sel == 'sum': return g.sum(1)
    if sel == 'max': return g.amax(1)
    return g.pow(2).sum(1).sqrt()


def skip_softmax(s, n, value, size=64):
    """Blocks of keys whose maximum lies under the running maximum by more than the log of S / lambda are skipped."""
    pad = -s.shape[-1] % size
    blocks = torch.nn.functional.pad(s, (0, pad), value=-INF).unflatten(-1, (-1, size)).amax(-1)
    keep = blocks - blocks.cummax(-1).values >= (value / n).log()[None, :, None]
    return keep.repeat_interleave(size, -1)[..., :s.shape[-1]]


def h2o(p, n, value, w, group):
    """Heavy hitters: after the warm-up a KV group keeps value * S rows, half of them the newest, half those of the largest
    attention so far; what is dropped is gone. Sums start with the warm-up's steps."""
    g = p.view(-1, group, *p.shape[1:]).sum(1)
    total, keys = g[:, :w].sum(1), torch.arange(p.shape[-1], device=DEVICE)
    alive = torch.ones_like(total, dtype=torch.bool)
    keep = torch.ones_like(g, dtype=torch.bool)
    for t in range(w, p.shape[1]):
        length = int(n[t]); budget = int(value * length); recent = budget // 2
        old = keys < length - recent
        heavy = total.masked_fill(~alive | ~old[None], -1).topk(budget - recent, -1).indices
        now = torch.zeros_like(alive).scatter_(1, heavy, True) | (~old & (keys < length))[None]
        alive = now | (keys >= length)[None]
        keep[:, t] = now
        mass = g[:, t] * now
        total = total + mass / mass.sum(-1, keepdim=True)
    return keep


def block_means(v, size):
    pad = -v.shape[1] % size
    sums = torch.nn.functional.pad(v, (0, 0, 0, pad)).unflatten(1, (-1, size)).sum(2)
    counts = torch.full((sums.shape[1],), size, device=DEVICE); counts[-1] -= pad
    return sums / counts[None, :, None]


def stretches(rule, start, steps):
    """Steps [from, to) between which moments stay as they are: measured after the prompt (None), every N steps, whenever the length has
    grown by F (`xF`), or both (`xF,N`)."""
    at = [0]
    factor, _, every = rule[1:].partition(',') if isinstance(rule, str) else ('inf', '', rule or 0)
    for t in range(1, steps):
        if start + t >= float(factor) * (start + at[-1]) or (int(every or 0) and t % int(every or 0) == 0): at.append(t)
    return list(zip(at, at[1:] + [steps]))


def attend(c, i, s, k, v, model, w, figures):
    """One layer's attention of all steps under policy c: [heads, steps, size]."""
    group, heads, steps, total = model.group, s.shape[0], s.shape[1], s.shape[2]
    n = torch.arange(total - steps + 1, total + 1, device=DEVICE).float()
    p = s.softmax(-1)
    mix = lambda weights: (weights.reshape(model.kv, -1, total) @ v).view(heads, weights.shape[1], -1)
    if c is None or i not in c.get('only', [i]): return mix(p)
    judged = p
    if c.get('norm', 'exact') != 'exact': judged = (s - estimate(s, n, c['norm'])).exp().nan_to_num(0)
    if c.get('weight') == 'v':
        d = (v - v.mean(1, keepdim=True)).norm(dim=-1)
        judged = judged * (d / d.pow(2).mean(1, keepdim=True).sqrt()).repeat_interleave(group, 0)[:, None]
    if c.get('weight') == 'o':
        o = model.w[f'blocks.{i}.o.weight'].view(-1, heads, model.size).transpose(0, 1)
        d = ((v - v.mean(1, keepdim=True)).repeat_interleave(group, 0) @ o.mT).norm(dim=-1)
        judged = judged * (d * c.get('gain', 1.0))[:, None]
    sel = c.get('sel', 'head')
    if sel != 'head': judged = combine_group(judged, sel, group)
    target = c['target']
    valid = torch.arange(total, device=DEVICE)[None] < n[:, None]
    newest = torch.arange(total, device=DEVICE)[None] == (n - 1)[:, None]
    if target == 'topk': keep = judged >= judged.topk(int(c['v']), -1).values[..., -1:]
    elif target == 'window': keep = ((n[:, None] - 1 - torch.arange(total, device=DEVICE)[None] < c['v']) | (torch.arange(total, device=DEVICE)[None] < 4))[None].expand(heads, -1, -1)
    elif target == 'skip': keep = skip_softmax(s, n, c['v'])
    elif target == 'h2o': keep = h2o(p, n, c['v'], w, group)
    else:
        eta = thresholds(c, judged, n, w, figures)
        if 'layers' in c: eta = eta * c['layers'][i]
        keep = judged >= eta[..., None]
    keep = keep & valid[None]
    if not c.get('paper'): keep = keep | newest[None]
    by_group = keep.shape[0] == model.kv
    union = keep if by_group else keep.view(model.kv, group, steps, total).any(1)
    used = union.repeat_interleave(group, 0) if by_group or c.get('share') else keep
    mass = (p * used).sum(-1, keepdim=True)
    kept = p * used
    out = mix(kept)
    fix, rest = c.get('fix', 'renorm'), 1 - mass
    if fix == 'renorm': out = out / mass.clamp_min(1e-9)
    elif fix == 'mean':
        mean = (v.cumsum(1) / torch.arange(1, total + 1, device=DEVICE)[None, :, None])[:, -steps:]
        out = out + rest * mean.repeat_interleave(group, 0)
    elif fix == 'drop':
        sums = v.cumsum(1)[:, -steps:] - (union.float() @ v)
        out = out + rest * (sums / (n[None, :] - union.sum(-1)).clamp_min(1)[..., None]).repeat_interleave(group, 0)
    elif fix == 'block':
        size = c['block']; pad = -total % size
        lost = torch.nn.functional.pad(p * ~used, (0, pad)).unflatten(-1, (-1, size)).sum(-1)
        out = out + lost @ block_means(v, size).repeat_interleave(group, 0)
        # A block that is not complete yet has the mean of the rows it has: its newest rows are kept by their recency in practice.
    elif fix in ('cov', 'kreg'):
        start = total - steps
        mean = v[:, :start].mean(1, keepdim=True)
        if fix == 'cov':  # first-order expansion of the softmax over all rows
            tails = []
            for a, b in stretches(c.get('moments'), start, steps):
                length = start + a
                if c.get('rows', length) < length:  # so many rows, spread evenly
                    at = ((torch.arange(c['rows'], device=DEVICE) + 0.5) * (length / c['rows'])).long()
                else: at = torch.arange(length, device=DEVICE)
                mean, part = v[:, at].mean(1, keepdim=True), s[:, a:b, at]
                centred = (part - part.mean(-1, keepdim=True)).reshape(model.kv, -1, len(at))
                tail = c['gain'] * (centred @ (v[:, at] - mean)).view(heads, b - a, -1) / len(at)
                tails.append(mean.repeat_interleave(group, 0) + tail)
            out = out + rest * torch.cat(tails, 1)
        else:  # V of the dropped rows by linear regression on their K, which is read anyway
            kc = k[:, :start] - k[:, :start].mean(1, keepdim=True)
            gram = kc.mT @ kc + 1e-3 * start * torch.eye(model.size, device=DEVICE)
            b = torch.linalg.solve(gram, kc.mT @ (v[:, :start] - mean))
            lost = (p * ~used).view(model.kv, -1, total)
            guess = lost @ ((k - k[:, :start].mean(1, keepdim=True)) @ b + mean)
            put0 = figures.setdefault('explained', []); put0.append((1 - ((v[:, :start] - mean - kc @ b).pow(2).sum() / (v[:, :start] - mean).pow(2).sum())).item())
            out = out + guess.view(heads, steps, -1)
    elif fix == 'warmcov':  # the same about the warm-up's mean query and mean tail, per query head or (kv) per group
        start = total - steps
        tail = (p[:, :w] * ~used[:, :w])[..., :start].sum(1)
        around = s[:, :w, :start].mean(1)
        if c.get('kv'): tail, around = [x.view(-1, group, start).mean(1).repeat_interleave(group, 0) for x in (tail, around)]
        tail = tail / tail.sum(-1, keepdim=True).clamp_min(1e-9)
        m = tail[:, None] @ v[:, :start].repeat_interleave(group, 0)
        ds = s[..., :start] - around[:, None]
        ds = (ds - (ds * tail[:, None]).sum(-1, keepdim=True)) * tail[:, None]
        out = out + rest * (m + c['gain'] * (ds @ (v[:, :start].repeat_interleave(group, 0) - m)))
    elif fix == 'warm':
        o = mix(p[:, :w] * ~used[:, :w]) / rest[:, :w].clamp_min(1e-9)
        out = out + rest * o.mean(1, keepdim=True)
    if w: out = torch.cat([mix(p[:, :w]), out[:, w:]], 1)
    share = union.sum(-1)[:, w:] / n[w:]
    put = lambda name, x: figures.setdefault(name, []).append(x)
    put('group', share.mean().item()); put('head', (keep.sum(-1)[:, w:] / n[w:]).mean().item()); put('mass', mass[:, w:].mean().item())
    q = share.shape[1] // 4
    put('early', share[:, :q].mean().item()); put('late', share[:, -q:].mean().item())
    return out
