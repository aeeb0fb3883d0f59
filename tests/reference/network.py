"""The network, written once more in PyTorch with dense masks: slow, plain, and sharing nothing with the program.

Reads a checkpoint (safetensors, with the configuration in its metadata). `dtype` is the format of activations and of the
weights in products; the residual stream, norms, softmax and losses are float32 in either (float64 throughout for float64).
"""
import json
import math

import torch
import torch.nn.functional as F
from patterns import block_masks
from safetensors import safe_open

QUERIES = 1024  # of an attention at once


def bucket(tokens, buckets):
    """The row of a hash embedding for these tokens, oldest first."""
    h = 0
    for token in tokens:
        h = (h ^ (token + 1)) * 0x9E3779B97F4A7C15 % 2**64
    return (h >> 32) % buckets


class Network:
    def __init__(self, path, dtype=torch.float32):
        with safe_open(path, framework="pt") as file:
            self.metadata = file.metadata()
            self.weights = {name: file.get_tensor(name) for name in file.keys()}
        self.config = json.loads(self.metadata["config"])
        self.model = self.config["model"]
        self.dtype = dtype
        self.wide = torch.float64 if dtype == torch.float64 else torch.float32
        for name in self.weights:
            self.weights[name] = self.weights[name].to(self.wide)
        self.masks = {}

    def parameters(self):
        return self.weights

    def rounded(self, x):
        return x.to(self.dtype).to(self.wide)

    def linear(self, x, name):
        """x W^T + b in wide arithmetic on rounded operands; the result is rounded."""
        bias = self.weights.get(name + ".bias")
        return self.rounded(F.linear(x, self.rounded(self.weights[name + ".weight"]), bias))

    def norm(self, x, name, eps):
        x = F.layer_norm(x, x.shape[-1:], self.weights[name + ".weight"], self.weights[name + ".bias"], eps)
        return self.rounded(x)

    def embed(self, tokens):
        """(B, T) -> (B, T, C): the start vector, then token and position of the place before; hashes of those before, and
        the convolution over the tokens before that one."""
        B, T = tokens.shape
        w = self.weights
        extents = self.model["positions"]
        place = torch.arange(T - 1)
        x = w["token_embedding.weight"][tokens[:, :-1]]
        for j, extent in enumerate(extents):
            divisor = math.prod(extents[j + 1 :])
            x = x + w[f"position_embedding.{j}.weight"][place // divisor % extent]
        x = torch.cat([w["start"].expand(B, 1, -1), x], dim=1)
        for order in self.model["hash_orders"]:
            for t in range(order, T):
                rows = [bucket(before, self.model["hash_buckets"]) for before in tokens[:, t - order : t].tolist()]
                x = x + F.pad(w[f"hash_embedding.{order}.weight"][rows][:, None], (0, 0, t, T - 1 - t))
        for lag in range(1, self.model["convolution"] + 1):  # position t adds a share of the embedding of token t - 1 - lag
            earlier = w["token_embedding.weight"][tokens[:, : max(0, T - 1 - lag)]]
            x = x + F.pad(earlier * w["token_convolution.weight"][lag - 1], (0, 0, min(T, lag + 1), 0))
        return x

    def attention(self, u, block):
        B, T, C = u.shape
        H = self.model["heads"]
        name = f"blocks.{block}.attention."
        q, k, v = (self.linear(u, name + part).view(B, T, H, -1).transpose(1, 2) for part in ("query", "key", "value"))
        rows = []
        for first in range(0, T, QUERIES):
            end = min(first + QUERIES, T)  # no later key is read
            mask = self.mask(block, T)[:, first:end, :end]
            scores = q[:, :, first:end] @ k[:, :, :end].transpose(2, 3) / math.sqrt(q.shape[-1])
            shares = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)
            shares = torch.where(mask.any(-1, keepdim=True), shares, 0)  # reads nothing: exactly 0
            self.seen(block, first, shares)
            rows.append(shares @ v[:, :, :end])
        out = self.rounded(torch.cat(rows, dim=2)).transpose(1, 2).reshape(B, T, C)
        return self.linear(out, name + "projection")

    def seen(self, block, first, shares):
        """Given the shares (B, H, queries, keys) of a pass, queries from `first` on; does nothing unless it is replaced."""

    def mask(self, block, T):
        """(H, T, T); the same one for blocks at the same place of the cycle"""
        attention = self.model["attention"]
        place = block % len(attention) if isinstance(attention, list) else 0
        if (place, T) not in self.masks:
            self.masks[place, T] = torch.from_numpy(block_masks(attention, place, self.model["heads"], T))
        return self.masks[place, T]

    def feedforward(self, u, block):
        x = self.linear(u, f"blocks.{block}.feedforward.expand")
        x = self.rounded(x * torch.sigmoid(1.702 * x))
        return self.linear(x, f"blocks.{block}.feedforward.contract")

    def logits(self, tokens):
        """(B, T) int64 -> (B, T, V); position t predicts tokens[:, t]. tokens[:, -1] is not read."""
        h = self.embed(tokens)
        for block in range(self.model["layers"]):
            h = h + self.attention(self.norm(h, f"blocks.{block}.attention_norm", 1e-5), block)
            h = h + self.feedforward(self.norm(h, f"blocks.{block}.feedforward_norm", 1e-5), block)
        h = self.norm(h, "final_norm", 1e-6)
        return F.linear(h, self.rounded(self.weights["output.weight"]))

    def bits(self, tokens):
        """(B, T) -> (B, T): -log2 p of each token given those before."""
        logits = self.logits(tokens)
        loss = F.cross_entropy(logits.transpose(1, 2), tokens, reduction="none")
        return loss / math.log(2)


def windows(size, context, min_context):
    """The minimum-context protocol: (begin, end, scored from) of each window; every token is scored once."""
    begin, scored = 0, 0
    while scored < size:
        end = min(begin + context, size)
        yield begin, end, scored
        begin, scored = begin + context - min_context, end


@torch.no_grad()
def bits_per_byte(network, data, min_context=0):
    """Mean bits of all of `data` (bytes) in windows of the model's context."""
    tokens = torch.frombuffer(bytearray(data), dtype=torch.uint8).long()
    total = 0.0
    for begin, end, scored in windows(len(tokens), network.model["context"], min_context):
        bits = network.bits(tokens[None, begin:end])[0]
        total += bits[scored - begin :].double().sum().item()
    return total / len(tokens)


@torch.no_grad()
def next_logits(network, window):
    """Logits of the token after `window` (bytes, shorter than the context)."""
    tokens = torch.tensor([list(window) + [0]])
    return network.logits(tokens)[0, -1]
