"""Attention of decode steps that does not read all of K exactly. All steps of a sequence at once. A policy is a dict of one of three forms:

target, v, ...    one of policies.py, which reads all of K
stages, c[, v4][, again]
                  a shadow decides. stages: [[bits, 0], ..., ['exact', level]]. The first shadow has scores of all rows. A row whose
                  probability so far is at least level / S for some head of the group goes on to the next stage, and all heads of the
                  group then have its better score. V is read of the rows at or above c / S by the last shadow's scores, and always of
                  the edge keys. With v4, rows below v4 / S have V from a copy in 4 bits; with again, V is read only of the rows that
                  are at or above c / S by their exact scores, too. [[2, 0], ['exact', c]] is what the kernels do.
stored            K and V in so many bits, all rows read, no exact copy of them

The edge keys (the first 16 and the newest 48) are always read exactly. The dropped mass is corrected for by mean V + Cov(v, k) q / 2 of the
prompt, as in policies.py."""
import math
import torch
import policies
from model import DEVICE
from shadow import Shadow
from stored import ROWS, stored, stored_bytes, values_of_4_bits

SINK, NEWEST = 16, 48
ESTIMATE = f'sample:{SINK},{NEWEST},64,-1'


class Step:
    """What the forms share: shapes, lengths, and how figures are taken."""

    def __init__(self, s, k, model, warmup, figures):
        self.kv, self.group, self.size, self.warmup, self.figures = model.kv, model.group, model.size, warmup, figures
        self.heads, self.steps, self.total = s.shape
        self.prompt = self.total - self.steps
        self.n = torch.arange(self.prompt + 1, self.total + 1, device=DEVICE).float()
        self.keys = torch.arange(self.total, device=DEVICE)
        self.valid = self.keys[None] < self.n[:, None]

    def edge(self, rows=1):
        """[steps, keys]: the edge keys; the newest reach back to the beginning of a group of so many rows."""
        first_newest = ((self.n - NEWEST) / rows).floor() * rows
        return ((self.keys[None] < SINK) | (self.keys[None] >= first_newest[:, None])) & self.valid

    def mix(self, weights, v):
        return (weights.reshape(self.kv, -1, self.total) @ v).view(self.heads, weights.shape[1], self.size)

    def any_head(self, mask): return mask.view(self.kv, self.group, self.steps, self.total).any(1)

    def all_heads(self, mask): return mask.repeat_interleave(self.group, 0)

    def share(self, mask):
        """Mean share of a step's rows, over the steps that count."""
        return (mask.sum(-1).float() / self.n)[..., self.warmup:].mean().item()

    def put(self, **values):
        for name, value in values.items(): self.figures.setdefault(name, []).append(value)

    def put_bytes(self, **parts):
        """parts: bytes of a mean row of one KV head, put as shares of those of K and V in f16."""
        self.put(**{f'bytes_{name}': value / (4 * self.size) for name, value in parts.items()})

    def once(self, floats):
        """Bytes of a mean row for so many floats of 4 bytes that a step reads once for every KV head."""
        return 4 * floats * (1 / self.n)[self.warmup:].mean().item()

    def moments(self): return self.once(self.size * (self.size + 1))  # mean V and Cov(v, k)


def correction(step, q, k, v):
    """mean V + Cov(v, k) q / 2 from the prompt's rows: [heads, steps, size]"""
    k, v = k[:, :step.prompt], v[:, :step.prompt]
    mean = v.mean(1, keepdim=True)
    cov = (k - k.mean(1, keepdim=True)).mT @ (v - mean) / step.prompt
    out = mean + 0.5 / math.sqrt(step.size) * (q.reshape(step.kv, -1, step.size) @ cov)
    return out.view(step.heads, step.steps, step.size)


def screened(c, step, q, s, k, v):
    edge = step.edge()
    between = (step.valid & ~edge)[None]
    level = lambda x: (math.log(x) - step.n.log())[None, :, None]
    of = lambda bits: Shadow(k[:, :step.prompt], bits)
    (bits, _), *further = c['stages']
    first = of(bits)
    scores = torch.where(edge[None], s, first.scores(q, k)).masked_fill(~step.valid[None], -math.inf)
    estimate = policies.estimate(scores, step.n, ESTIMATE)
    judged, copies, exact = scores, step.share(between) * first.row_bytes(), 0.0
    for to, at in further:
        rows = step.any_head(scores - estimate >= level(at)) & between
        better = s if to == 'exact' else of(to).scores(q, k)
        scores = torch.where(step.all_heads(rows), better, scores)
        if to == 'exact': exact = step.share(rows)
        else: copies, bits = copies + step.share(rows) * step.size * (to - bits) / 8, to
        if to != 'exact' or c.get('again'): judged = scores
    keep = step.any_head(judged - estimate >= level(c['c'])) & between | edge[None]
    kept = scores.softmax(-1) * step.all_heads(keep)
    fine = keep
    if 'v4' in c:
        fine = step.any_head(judged - estimate >= level(c['v4'])) & keep | edge[None]
        coarse = step.all_heads(~fine)
        out = step.mix(kept * ~coarse, v) + step.mix(kept * coarse, values_of_4_bits(v, step.prompt))
    else: out = step.mix(kept, v)
    mass = kept.sum(-1, keepdim=True)
    own = (scores - estimate >= level(c['c'])) & between
    step.put(head=step.share(own | edge[None]), group=step.share(keep), exact=exact, mass=mass[:, step.warmup:].mean().item())
    # The shadow's mean and deviation beside the moments.
    step.put_bytes(fixed=step.moments() + step.once(2 * step.size), shadow=copies, k=2 * step.size * (exact + step.share(edge)),
                   v=2 * step.size * step.share(fine) + step.size / 2 * (step.share(keep) - step.share(fine)))
    return out + (1 - mass) * correction(step, q, k, v)


def from_storage(c, step, q, s, k, v):
    bits = c['stored']
    edge = step.edge(ROWS) if bits < 8 else torch.zeros_like(step.valid)
    k_read, v_read = stored(k, v, bits)
    scores = (q.reshape(step.kv, -1, step.size) @ k_read.mT / math.sqrt(step.size)).view_as(s)
    p = torch.where(edge[None], s, scores).masked_fill(~step.valid[None], -math.inf).softmax(-1)
    step.put(head=1.0, group=1.0, exact=0.0, mass=1.0)
    step.put_bytes(fixed=0.0, shadow=(1 - step.share(edge)) * stored_bytes(step.size, bits), k=2 * step.size * step.share(edge),
                   v=2 * step.size * step.share(edge))
    return step.mix(p * edge[None], v) + step.mix(p * ~edge[None], v_read)


def attend(c, i, q, s, k, v, model, warmup, figures):
    """One layer's attention of all steps under policy c: [heads, steps, size]. The first `warmup` steps read every row."""
    if c is None: return policies.attend(None, i, s, k, v, model, warmup, figures)
    step = Step(s, k, model, warmup, figures)
    if 'target' in c:
        out = policies.attend(c, i, s, k, v, model, warmup, figures)
        step.put(exact=1.0)
        step.put_bytes(fixed=step.moments() if c.get('fix') == 'cov' else 0.0, shadow=0.0, k=2 * step.size,
                       v=2 * step.size * figures['group'][-1])
        return out
    out = (from_storage if 'stored' in c else screened)(c, step, q, s, k, v)
    return torch.cat([step.mix(s[:, :warmup].softmax(-1), v), out[:, warmup:]], 1) if warmup else out
