"""Forced decoding of one sequence under many policies, against exact attention on the same tokens."""
import numpy as np


def decoded(model, prompt, steps, plan, warmup, attend):
    """For exact attention (None) and every policy of a plan: the policy, its log-probabilities of the steps after the warm-up, and the means
    of the figures that attend(policy, layer, q, scores, k, v, model, warmup, figures) takes."""
    cache = model.prefill(prompt)
    for policy in [None, *plan]:
        figures = {}
        log_p = model.decode(steps, cache, lambda i, q, s, k, v: attend(policy, i, q, s, k, v, model, warmup, figures))[warmup:]
        yield policy, log_p, figures


def means(figures): return {name: float(np.mean(values)) for name, values in figures.items()}


def divergence(base, log_p):
    """KL of each step, in nats."""
    return (base.exp() * (base - log_p)).sum(1)


def text_rows(model, ids, prompt, plan, warmup, attend):
    """A row per policy: how its distributions of a text's next tokens differ from exact attention's. ids: the prompt, the steps' tokens and
    one more, the last target. Also yields the KL of each step and the figures as they were taken."""
    targets, base = ids[prompt + warmup + 1:], None
    for policy, log_p, figures in decoded(model, ids[:prompt], ids[prompt:-1], plan, warmup, attend):
        if base is None: base = log_p
        kl = divergence(base, log_p)
        row = dict(policy=policy, nll=-log_p.gather(1, targets[:, None]).mean().item(), kl=kl.mean().item(), klMedian=kl.median().item(),
                   kl99=kl.quantile(0.99).item(), top1=(log_p.argmax(1) == base.argmax(1)).float().mean().item())
        yield row, kl, figures
