"""What screening K in f16 changes in the outputs of sifted attention (docs/lab/kernels.md), on recorded and on random queries and keys.

    python3 bench/recording/screen_rounding.py .cache/bench/recorded.qkv

numpy. Emulates wgsl/sift/screen.wgsl: products of f16 elements added up in f16, 8 of a lane in a chain and then 8 lanes in pairs. Prints,
against sifted attention with exact scores (mean V for what is not read): dense attention, screened scores alone, and screened scores
with those of probability >= 2^-7 computed again. Root mean square and largest difference over a head's largest element, in 1e-4.
"""

import json
import sys

import numpy as np

LEVEL = 2.5  # of the `balanced` preset: read at probability >= LEVEL / keys
MUCH = -7 * np.log(2)


def f16(x):
    return x.astype(np.float16).astype(np.float64)


def screened(q, k, scale):
    """Scores of q [queries, size] and k [keys, size] as the kernel screens them."""
    power = 2.0 ** np.floor(np.log2(scale))
    q = f16(q * power)
    lanes = q.shape[1] // 8
    sums = np.zeros((len(q), len(k), lanes))
    for e in range(8):
        at = np.arange(lanes) * 8 + e
        sums = f16(sums + q[:, None, at] * k[None, :, at])
    while sums.shape[-1] > 1:
        sums = f16(sums[..., 0::2] + sums[..., 1::2])
    return sums[..., 0] * (scale / power)


def compare(name, q, k, v):
    scale = 1 / np.sqrt(q.shape[1])
    exact = (q @ k.T) * scale
    top = exact.max(1, keepdims=True)
    norm = top + np.log(np.exp(exact - top).sum(1, keepdims=True))
    cut = np.log(LEVEL / len(k))
    mean = v.mean(0)

    def output(scores, read):
        weights = np.exp(scores - norm)
        kept = np.where(read, weights, 0)
        whole = weights.sum(1, keepdims=True)
        return (kept @ v + (whole - kept.sum(1, keepdims=True)) * mean) / whole

    want = output(exact, exact - norm >= cut)
    largest = np.abs(want).max(1, keepdims=True)
    rough = screened(q, k, scale)
    read = rough - norm >= cut
    refined = np.where(rough - norm >= MUCH, exact, rough)
    cells = []
    for got in (output(exact, np.ones_like(read)), output(rough, read), output(refined, read)):
        off = (got - want) / largest
        cells.append(f"{1e4 * np.sqrt((off**2).mean()):7.1f} {1e4 * np.abs(off).max():7.1f}")
    kept = 100 * read.mean()
    print(f"{name:24}{kept:6.1f}%  {np.abs(exact).max():6.1f}  {' | '.join(cells)} | {(rough - norm >= MUCH).sum(1).mean():.0f}")


def main(path):
    file = open(path, "rb").read()
    newline = file.index(b"\n")
    header = json.loads(file[:newline])
    data = np.frombuffer(file[newline + 1 :], np.float16)
    tokens, heads, groups = header["tokens"], header["heads"], header["kvHeads"]
    size, queries = header["headSize"], header["queries"]
    print(f"{'':24}  kept  largest     dense            screened         ... and computed again | rows of it a query")
    at = 0

    def take(*shape):
        nonlocal at
        count = int(np.prod(shape))
        at += count
        return data[at - count : at].reshape(shape).astype(np.float64)

    for layer in header["layers"]:
        q = take(queries, heads, size)
        k, v = take(groups, tokens, size), take(groups, tokens, size)
        compare(f"layer {layer}", q[:, : heads // groups].reshape(-1, size), k[0], v[0])
    random = np.random.default_rng(0)
    q, k = f16(random.normal(size=(32, 64))), f16(random.normal(size=(4096, 64)))
    v = random.normal(size=(4096, 64))
    channels = np.zeros(64)
    channels[[3, 40]] = 60, -80
    for name, factor, shift in (("normal", 1, 0), ("normal, q x 4", 4, 0), ("channels", 1, 1), ("channels, q x 4", 4, 1)):
        compare(name, f16(factor * q), f16(k + shift * channels), v)


if __name__ == "__main__":
    main(sys.argv[1])
