"""The project's Llama models in PyTorch, f32, for studies of attention policies. Weights as models/README.md of the release
describes them; tokens are u16 files that tokenise.ts writes, so that Node and PyTorch see exactly the same ids."""
import glob, json, math, os, struct
import torch, torch.nn.functional as F

torch.backends.cuda.matmul.allow_tf32 = False
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


def load_safetensors(folder):
    """All tensors of a folder's safetensors files (f16) as f32."""
    tensors = {}
    for name in sorted(glob.glob(os.path.join(folder, '*.safetensors'))):
        with open(name, 'rb') as file:
            size = struct.unpack('<Q', file.read(8))[0]
            header = json.loads(file.read(size))
            data = bytearray(file.read())
        for key, entry in header.items():
            if key == '__metadata__': continue
            assert entry['dtype'] == 'F16', entry['dtype']
            begin, end = entry['data_offsets']
            flat = torch.frombuffer(data, dtype=torch.float16, count=(end - begin) // 2, offset=begin)
            tensors[key] = flat.reshape(entry['shape']).float().to(DEVICE)
    return tensors


def rms(x, weight, eps): return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


class Model:
    def __init__(self, folder):
        c = json.load(open(os.path.join(folder, 'config.json')))
        self.layers, self.heads, self.kv = c['num_hidden_layers'], c['num_attention_heads'], c['num_key_value_heads']
        self.size, self.theta, self.eps = c['head_dim'], c['rope_theta'], c['rms_norm_eps']
        self.group = self.heads // self.kv
        self.w = load_safetensors(folder)

    def stress(self, factor, pairs=(0, 9, 20, 31)):
        """Outlier channels that leave exact attention as it is: in every KV head, K of some rotary pairs times a factor, and Q of its heads
        divided by it."""
        for i in range(self.layers):
            for name, heads, by in (('q', self.heads, 1 / factor), ('k', self.kv, factor)):
                rows = self.w[f'blocks.{i}.{name}.weight'].view(heads, self.size, -1)
                for pair in pairs: rows[:, [pair, pair + self.size // 2]] *= by

    def rotate(self, x, start):
        """x: [heads, tokens, size] at positions start, start + 1, ..."""
        f = self.theta ** (-torch.arange(0, self.size, 2, device=DEVICE).float() / self.size)
        a = torch.arange(start, start + x.shape[1], device=DEVICE).float()[:, None] * f
        x1, x2 = x.chunk(2, -1)
        return torch.cat([x1 * a.cos() - x2 * a.sin(), x2 * a.cos() + x1 * a.sin()], -1)

    def qkv(self, i, x, start):
        w, n = self.w, x.shape[0]
        h = rms(x, w[f'blocks.{i}.n1.weight'], self.eps)
        split = lambda name, heads: (h @ w[f'blocks.{i}.{name}.weight'].T).view(n, heads, self.size).transpose(0, 1)
        return (self.rotate(split('q', self.heads), start), self.rotate(split('k', self.kv), start), split('v', self.kv).contiguous())

    def rest(self, i, x, attention):
        """attention: [heads, tokens, size]"""
        w = lambda name: self.w[f'blocks.{i}.{name}.weight']
        x = x + attention.transpose(0, 1).reshape(x.shape[0], -1) @ w('o').T
        h = rms(x, w('n2'), self.eps)
        return x + (F.silu(h @ w('g').T) * (h @ w('u').T)) @ w('d').T

    def logits(self, x): return rms(x, self.w['nf.weight'], self.eps) @ self.w['emb.weight'].T

    def prefill(self, ids):
        """Exact attention over a prompt: K and V of every layer, [kv, tokens, size]."""
        x, cache, n = self.w['emb.weight'][ids], [], len(ids)
        for i in range(self.layers):
            q, k, v = self.qkv(i, x, 0)
            out = torch.empty_like(q)
            for b in range(0, n, 1024):  # row blocks: memory stays small
                e = min(n, b + 1024)
                s = q[:, b:e] @ k[:, :e].repeat_interleave(self.group, 0).mT / math.sqrt(self.size)
                s.masked_fill_(torch.arange(e, device=DEVICE)[None] > torch.arange(b, e, device=DEVICE)[:, None], -math.inf)
                out[:, b:e] = s.softmax(-1) @ v[:, :e].repeat_interleave(self.group, 0)
            cache.append((k, v))
            x = self.rest(i, x, out)
        return cache

    def decode(self, ids, cache, attend):
        """Decode steps of given tokens, all at once: attend(layer, q, scores, k, v) -> [heads, steps, size], with q
        [heads, steps, size] and scores [heads, steps, keys] (-inf beyond a step's own key). Returns log-probabilities [steps, vocabulary]."""
        start, n = cache[0][0].shape[1], len(ids)
        x, total = self.w['emb.weight'][ids], start + n
        future = torch.arange(total, device=DEVICE)[None] > torch.arange(start, total, device=DEVICE)[:, None]
        for i in range(self.layers):
            q, k, v = self.qkv(i, x, start)
            k, v = torch.cat([cache[i][0], k], 1), torch.cat([cache[i][1], v], 1)
            s = q.reshape(self.kv, self.group * n, self.size) @ k.mT / math.sqrt(self.size)
            s = s.view(self.heads, n, total).masked_fill_(future, -math.inf)
            x = self.rest(i, x, attend(i, q, s, k, v))
        return self.logits(x).log_softmax(-1)
