"""usage: check_shadow.py
Holds shadow.py against the definition of the shadow, written out once more element by element in Python's own floats, for several head
sizes: codes and scale bytes must be the same, but for elements that lie on a border of two codes, and scores agree to rounding."""
import math
import torch
from model import DEVICE
from shadow import Shadow

BORDER = 1e-3  # in steps of a code or a scale: f32's rounding may take an element so close to a border to either side


def transform(x, block):
    """The Walsh-Hadamard transform by its matrix, whose element (i, j) is -1 to the number of bits that i and j share."""
    entry = lambda i, j: (-1) ** bin(i & j).count('1')
    return [sum(entry(i, j) * x[b + j] for j in range(block)) for b in range(0, len(x), block) for i in range(block)]


def sign(d): return -1 if bin(d * 0x9E3779B1 % 2 ** 32).count('1') % 2 else 1


def block_of(size):
    block = 1
    while size % (2 * block) == 0: block *= 2
    return block


def check_row(row, mean, deviation, codes, scale):
    """One row of K; returns the rms that its scale byte stands for."""
    z = transform([sign(d) * (x - m) / s for d, (x, m, s) in enumerate(zip(row, mean, deviation))], block_of(len(row)))
    rms = math.sqrt(sum(x * x for x in z) / len(z))
    at = 8 * math.log2(rms) + 128
    assert abs(scale - at) <= 0.5 + BORDER, (scale, at)
    rms = 2 ** ((scale - 128) / 8)
    for x, code in zip(z, codes):
        at = x / (1.2 * rms) + 2
        assert code - BORDER <= at < code + 1 + BORDER or (code == 0 and at < 0) or (code == 3 and at >= 4), (code, at)
    return rms


def check(size, rows=40, steps=3):
    torch.manual_seed(size)
    spread = torch.rand(size) * 4 + 0.1
    k = (torch.randn(1, rows, size) * spread + torch.randn(size) * 3).to(DEVICE)
    q = torch.randn(2, steps, size).to(DEVICE)
    shadow = Shadow(k)
    codes, scales = shadow.encode(k)
    scores = shadow.scores(q, k)
    columns = list(zip(*k[0].tolist()))
    mean = [sum(c) / rows for c in columns]
    deviation = [math.sqrt(sum((x - m) ** 2 for x in c) / rows) for c, m in zip(columns, mean)]
    rms = [check_row(k[0, t].tolist(), mean, deviation, codes[0, t].tolist(), scales[0, t].item()) for t in range(rows)]
    for h in range(2):
        for i in range(steps):
            query = q[h, i].tolist()
            block = block_of(size)
            u = [x / block for x in transform([sign(d) * s * x for d, (s, x) in enumerate(zip(deviation, query))], block)]
            a = max(map(abs, u)) / 127
            # A query's element on the border of two integers may differ by one of them.
            slack = sum(1 for x in u if abs(abs(x / a) % 1 - 0.5) < BORDER)
            q8 = [round(x / a) for x in u]
            base = sum(x * m for x, m in zip(query, mean))
            for t in range(rows):
                c = codes[0, t].tolist()
                dot = sum(x * y for x, y in zip(c, q8)) - 1.5 * sum(q8)
                want = (base + 1.2 * rms[t] * a * dot) / math.sqrt(size)
                off = abs(scores[h, i, t].item() - want)
                assert off <= 1e-4 * (1 + abs(want)) + slack * 1.8 * rms[t] * a / math.sqrt(size), (off, want)


def check_zero():
    """A row that is the mean key everywhere has scale 0, and no influence beyond the mean's own score."""
    k = torch.tensor([[[1.0] * 8, [-1.0] * 8, [0.0] * 8]], device=DEVICE)
    shadow = Shadow(k)
    codes, scales = shadow.encode(k)
    assert scales[0, 2] == 0 and abs(shadow.scores(torch.ones(1, 1, 8, device=DEVICE), k)[0, 0, 2]) < 1e-3


for size in (64, 80, 96, 128): check(size)
check_zero()
print('The shadow is as defined for head sizes 64, 80, 96 and 128.')
