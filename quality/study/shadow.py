"""The shadow of K: a copy in few bits whose scores decide which rows are read exactly. The shadow that the kernels make has 2 bits;
4 and 6 bits are here for comparison. What a row's code and a query's score are, is said once more, for the kernels, in src/oracle."""
import math
import torch
from model import DEVICE

STATISTICS_ROWS = 4096                      # rows of the prompt, at most, that the mean and the deviation are taken from
RANGE = {2: 2.4, 4: 2.682, 6: 2.4}          # codes span so many times the row's rms to either side; 2 and 6 bits share theirs, so that
                                            # the upper 2 of 6 bits are the code of 2 bits


def block_size(size):
    """The largest power of two that divides the head size: the length of the Hadamard transforms."""
    return size & -size


def signs(size):
    """Random signs of the channels, from the parity of the bits of a product, so that every program finds the same ones."""
    odd = [bin(d * 0x9E3779B1 % 2 ** 32).count('1') % 2 for d in range(size)]
    return torch.tensor([-1.0 if o else 1.0 for o in odd], device=DEVICE)


def walsh_hadamard(x, block):
    """The transform of every block of the last axis, not normalised, in natural order: log2(block) rounds of sums and differences."""
    y, half = x.reshape(-1, block), 1
    while half < block:
        pairs = y.reshape(-1, block // (2 * half), 2, half)
        y = torch.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], 2)
        half *= 2
    return y.reshape(x.shape)


def evenly(count, length):
    """`count` of the rows 0 to length - 1, spread evenly; all of them if there are no more."""
    if length <= count: return torch.arange(length, device=DEVICE)
    return ((torch.arange(count, device=DEVICE) + 0.5) * (length / count)).long()


class Shadow:
    """The shadow of one layer's K. Statistics are those of the prompt and stay; every row is then coded by itself."""

    def __init__(self, prompt, bits=2):
        """prompt: K of the prompt's rows [kv, rows, size]"""
        rows = prompt[:, evenly(STATISTICS_ROWS, prompt.shape[1])]
        self.bits, self.size = bits, prompt.shape[2]
        self.block, self.signs = block_size(self.size), signs(self.size)
        self.mean = rows.mean(1, keepdim=True)                                       # [kv, 1, size]
        self.deviation = rows.std(1, keepdim=True, unbiased=False).clamp_min(1e-6)   # [kv, 1, size]
        self.step = 2 * RANGE[bits] / 2 ** bits                                      # distance of two codes, in rms

    def encode(self, k):
        """k [kv, rows, size] -> codes [kv, rows, size], integers from 0 on, and scale bytes [kv, rows]"""
        z = walsh_hadamard(self.signs * ((k - self.mean) / self.deviation), self.block)
        rms = z.pow(2).mean(-1).sqrt()
        scale = ((8 * rms.log2()).round() + 128).clamp(0, 255)  # log2(0) is -infinity, so that a row of zeros has scale 0
        codes = (z / (self.step * self.rms_of(scale)[..., None])).floor() + 2 ** (self.bits - 1)
        return codes.clamp(0, 2 ** self.bits - 1), scale

    def rms_of(self, scale): return 2 ** ((scale - 128) / 8)

    def scores(self, q, k):
        """q: [heads, steps, size], k: [kv, rows, size] -> scores from the shadow [heads, steps, rows]"""
        kv, rows, size = k.shape
        codes, scale = self.encode(k)
        values = self.step * self.rms_of(scale)[..., None] * (codes - (2 ** self.bits - 1) / 2)
        heads, steps, _ = q.shape
        q = q.reshape(kv, -1, size)
        u = walsh_hadamard(self.signs * (self.deviation * q), self.block) / self.block
        a = u.abs().amax(-1, keepdim=True) / 127
        q8 = torch.where(a > 0, u / a, torch.zeros_like(u)).round()
        s = q @ self.mean.mT + a * (q8 @ values.mT)
        return (s / math.sqrt(size)).view(heads, steps, rows)

    def row_bytes(self): return self.size * self.bits / 8 + 1
