"""Records the queries, keys and values of a Llama of ../shared/models for the benchmark: real score distributions.

    npx tsx lab/tokenise.ts models/tiny TEXT ids.bin
    python3 bench/recording/record.py MODEL_DIR ids.bin OUT [--tokens 8192] [--layers 1,2,3,5] [--queries 64]

Plain numpy in f32. OUT holds a line of JSON (tokens, layers, kvHeads, heads, headSize, queries) and then, as f16 and layer by layer:
q [queries, heads, headSize] of the last tokens, K and V [kvHeads, tokens, headSize], all after the rotation.
"""

import argparse
import glob
import json
import os

import numpy as np


def load_weights(folder):
    weights = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
            data = file.read()
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, stop = entry["data_offsets"]
            array = np.frombuffer(data[start:stop], np.float16).reshape(entry["shape"])
            weights[name] = array.astype(np.float32)
    return weights


def norm(x, gamma, epsilon):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon) * gamma


def rotate(x, base):
    tokens, _, size = x.shape
    half = size // 2
    angle = np.arange(tokens)[:, None] * base ** (-2.0 * np.arange(half) / size)[None, :]
    cos = np.cos(angle).astype(np.float32)[:, None, :]
    sin = np.sin(angle).astype(np.float32)[:, None, :]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def attend(q, k, v, scale):
    """Causal attention of one head, in blocks of queries."""
    out = np.empty_like(q)
    for start in range(0, len(q), 512):
        stop = min(start + 512, len(q))
        scores = (q[start:stop] @ k[:stop].T) * scale
        mask = np.arange(stop)[None, :] > np.arange(start, stop)[:, None]
        scores[mask] = -np.inf
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        out[start:stop] = (scores @ v[:stop]) / scores.sum(axis=1, keepdims=True)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("ids")
    parser.add_argument("out")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--layers", default="1,2,3,5")
    parser.add_argument("--queries", type=int, default=64)
    options = parser.parse_args()
    with open(os.path.join(options.model, "config.json")) as file:
        config = json.load(file)
    weights = load_weights(options.model)
    ids = np.fromfile(options.ids, np.uint16)[: options.tokens]
    tokens = len(ids)
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size, epsilon = config["head_dim"], config["rms_norm_eps"]
    wanted = [int(layer) for layer in options.layers.split(",")]
    x = weights["emb.weight"][ids]
    recorded = []
    for layer in range(max(wanted) + 1):
        w = {name: weights[f"blocks.{layer}.{name}.weight"] for name in ("n1", "q", "k", "v", "o", "n2", "g", "u", "d")}
        y = norm(x, w["n1"], epsilon)
        q = rotate((y @ w["q"].T).reshape(tokens, heads, size), config["rope_theta"])
        k = rotate((y @ w["k"].T).reshape(tokens, kv_heads, size), config["rope_theta"])
        v = (y @ w["v"].T).reshape(tokens, kv_heads, size)
        if layer in wanted:
            recorded += [q[-options.queries :], k.transpose(1, 0, 2), v.transpose(1, 0, 2)]
        if layer == max(wanted):
            break
        group = heads // kv_heads
        out = np.stack([attend(q[:, h], k[:, h // group], v[:, h // group], size**-0.5) for h in range(heads)], axis=1)
        x = x + out.reshape(tokens, heads * size) @ w["o"].T
        y = norm(x, w["n2"], epsilon)
        gate = y @ w["g"].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w["u"].T)) @ w["d"].T
        print(f"layer {layer}")
    header = dict(tokens=tokens, layers=wanted, kvHeads=kv_heads, heads=heads, headSize=size, queries=options.queries)
    with open(options.out, "wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        for array in recorded:
            file.write(np.ascontiguousarray(array, np.float16).tobytes())


if __name__ == "__main__":
    main()
