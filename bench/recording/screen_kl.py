"""KL of sifted attention with exact and with screened scores (docs/quality.md), on one of the trained models.

    python3 bench/recording/screen_kl.py MODEL_DIR ids.bin [--prompt 4096] [--steps 512] [--start 0]

numpy, as bench/recording/record.py. The steps are decoded side by side, each with the keys before it, on the text's own tokens; q, K, V and
attention outputs are rounded to f16. Policy: the `balanced` preset with moments of the prompt. Held against dense attention.
"""

import argparse
import json
import os

import numpy as np
from record import attend, load_weights, norm
from screen_rounding import LEVEL, MUCH, screened

NAMES = ("n1", "q", "k", "v", "o", "n2", "g", "u", "d")


def f16(x):
    return x.astype(np.float16).astype(np.float32)


class Llama:
    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as file:
            config = json.load(file)
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.size, self.epsilon, self.base = config["head_dim"], config["rms_norm_eps"], config["rope_theta"]
        self.weights = load_weights(folder)
        layers = range(config["num_hidden_layers"])
        self.blocks = [{n: self.weights[f"blocks.{i}.{n}.weight"] for n in NAMES} for i in layers]

    def rotate(self, x, first):
        half = self.size // 2
        angle = np.arange(first, first + len(x))[:, None] * self.base ** (-2.0 * np.arange(half) / self.size)
        cos, sin = (f(angle).astype(np.float32)[:, None, :] for f in (np.cos, np.sin))
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)

    def qkv(self, x, w, first):
        y = norm(x, w["n1"], self.epsilon)
        q, k, v = ((y @ w[n].T).reshape(len(x), -1, self.size) for n in "qkv")
        return f16(self.rotate(q, first)), f16(self.rotate(k, first)), f16(v)

    def rest(self, x, out, w):
        x = x + out.reshape(len(x), -1) @ w["o"].T
        y = norm(x, w["n2"], self.epsilon)
        gate = y @ w["g"].T
        return x + (gate / (1 + np.exp(-gate)) * (y @ w["u"].T)) @ w["d"].T

    def prefill(self, ids):
        x, caches = self.weights["emb.weight"][ids], []
        group = self.heads // self.kv_heads
        for w in self.blocks:
            q, k, v = self.qkv(x, w, 0)
            caches.append((k, v))
            outs = [attend(q[:, h], k[:, h // group], v[:, h // group], self.size**-0.5) for h in range(self.heads)]
            x = self.rest(x, np.stack(outs, axis=1), w)
        return caches

    def decode(self, ids, caches, sift):
        """Log-probabilities of all steps, and the share of V rows read."""
        prompt = len(caches[0][0])
        x, shares = self.weights["emb.weight"][ids], []
        for w, cache in zip(self.blocks, caches):
            q, k, v = self.qkv(x, w, prompt)
            out = np.empty_like(q)
            group = self.heads // self.kv_heads
            for g in range(self.kv_heads):
                at = slice(g * group, (g + 1) * group)
                keys, values = (np.concatenate([c[:, g], new[:, g]]) for c, new in zip(cache, (k, v)))
                out[:, at], share = sift(q[:, at], keys, values, prompt)
                shares.append(share)
            x = self.rest(x, f16(out), w)
        logits = norm(x, self.weights["nf.weight"], self.epsilon) @ self.weights["emb.weight"].T
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), np.mean(shares)


def sifted(kind):
    """Attention of one KV head's group: q [steps, group, size], the step i having the first prompt + i + 1 keys."""

    def run(q, keys, values, prompt):
        steps, group, size = q.shape
        scale = np.float32(size**-0.5)
        lengths = (prompt + 1 + np.arange(steps))[:, None]
        unseen = np.arange(len(keys))[None, :] >= lengths
        read = np.zeros(unseen.shape, bool)
        read[np.arange(steps), lengths[:, 0] - 1] = True
        logs = []
        for h in range(group):
            scores = (q[:, h] @ keys.T) * scale
            scores[unseen] = -np.inf
            top = scores.max(axis=1, keepdims=True)
            whole = top + np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
            judged = scores - whole
            if kind.startswith("screened"):
                judged = screened(q[:, h], keys, scale) - whole
                judged[unseen] = -np.inf
            read |= judged >= (-np.inf if kind == "dense" else np.log(LEVEL / lengths))
            logs.append(np.where(judged >= MUCH, scores - whole, judged) if kind == "screened" else judged)
        read &= ~unseen
        mean = values[:prompt].mean(axis=0)
        covariance = (keys[:prompt] - keys[:prompt].mean(axis=0)).T @ (values[:prompt] - mean) / prompt
        out = np.empty_like(q)
        for h, log in enumerate(logs):
            weights = np.exp(log)
            kept = np.where(read, weights, 0)
            total = weights.sum(axis=1, keepdims=True)
            left = total - kept.sum(axis=1, keepdims=True)
            out[:, h] = (kept @ values + left * (mean + 0.5 * scale * q[:, h] @ covariance)) / total
        return out, (read.sum(axis=1) / lengths[:, 0]).mean()

    return run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("ids")
    parser.add_argument("--prompt", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=512)
    parser.add_argument("--start", type=int, default=0)
    options = parser.parse_args()
    end = options.start + options.prompt + options.steps
    ids = np.fromfile(options.ids, np.uint16)[options.start : end].astype(np.int64)
    model = Llama(options.model)
    caches = model.prefill(ids[: options.prompt])
    decode = lambda kind: model.decode(ids[options.prompt :], caches, sifted(kind))
    want, _ = decode("dense")
    exact = None
    for kind in ("exact", "screened", "screened, none again"):
        got, share = decode(kind)
        kl = (np.exp(want) * (want - got)).sum(axis=1)
        exact = kl if exact is None else exact
        same = 100 * (want.argmax(axis=1) == got.argmax(axis=1)).mean()
        apart = np.abs(kl - exact).mean()
        print(f"{kind}: {100 * share:.1f}% of V, KL {kl.mean():.3e}, from exact {apart:.1e}, same top-1 {same:.2f}%", flush=True)


if __name__ == "__main__":
    main()
