"""Copies of K and V in few bits, for comparison with the shadow: caches that are stored so, without exact rows, and a copy of V."""
import torch

ROWS = 32      # rows of a group that share the scales of K's channels
CHANNELS = 32  # channels of a row that share a scale in 8 bits

f16 = lambda x: x.half().float()


def between(x, axis, bits):
    """Evenly spaced codes between the smallest and the largest element along an axis, both kept in f16."""
    low, high = f16(x.amin(axis, keepdim=True)), f16(x.amax(axis, keepdim=True))
    step = ((high - low) / (2 ** bits - 1)).clamp_min(1e-8)
    return low + ((x - low) / step).round().clamp(0, 2 ** bits - 1) * step


def keys_by_channel(k, bits):
    """K as KIVI stores it: groups of 32 rows, each channel of a group in its own range. The last group may be incomplete: its codes are
    of no use, and whoever reads them takes the exact rows instead."""
    pad = -k.shape[1] % ROWS
    groups = torch.nn.functional.pad(k, (0, 0, 0, pad)).unflatten(1, (-1, ROWS))
    return between(groups, 2, bits).flatten(1, 2)[:, :k.shape[1]]


def blocks_of_8_bits(x):
    """Blocks of 32 channels in 8 bits, with the largest element's scale in f16 (llama.cpp's q8_0)."""
    blocks = x.unflatten(-1, (-1, CHANNELS))
    step = f16(blocks.abs().amax(-1, keepdim=True) / 127).clamp_min(1e-8)
    return ((blocks / step).round().clamp(-127, 127) * step).flatten(-2)


def stored(k, v, bits):
    """K and V as they are read back from a cache of 2 or 4 bits (KIVI-like: K by channel, V by row) or 8."""
    if bits == 8: return blocks_of_8_bits(k), blocks_of_8_bits(v)
    return keys_by_channel(k, bits), between(v, 2, bits)


def stored_bytes(size, bits):
    """Bytes of a row of K and V in such a cache."""
    if bits == 8: return 2 * (size + 2 * size / CHANNELS)
    return 2 * size * bits / 8 + 4 * size / ROWS + 4


def values_of_4_bits(v, prompt):
    """A copy of V in 4 bits: 16 levels for each channel over 2.682 deviations of the prompt's rows about their mean, without scales of
    the rows. v: [kv, rows, size], prompt: the number of its rows."""
    mean, deviation = v[:, :prompt].mean(1, keepdim=True), v[:, :prompt].std(1, keepdim=True).clamp_min(1e-6)
    step = 2 * 2.682 / 16 * deviation
    return mean + (((v - mean) / step).floor().clamp(-8, 7) + 0.5) * step
