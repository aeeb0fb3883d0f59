"""The program's model as a torch.nn.Module: docs/model.md, section 2, with the parameters of section 6 by their names.

Indices begin at 0. B sequences, T tokens, C channels, V tokens in the vocabulary.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longstride.config import Config, info, resolve
from longstride.errors import InvalidArgument
from longstride.torch import _checkpoint
from longstride.torch._attention import attention

_GPT2 = 0.02  # the standard deviation of every weight under that initialisation
_HASH = 0x9E3779B97F4A7C15 - 2**64  # as a signed number; products wrap around


class SparseTransformer(nn.Module):
    """The network that the program trains, over longstride.torch.attention. Its state_dict is model.safetensors.

    config: as for longstride.train: a dictionary, {"model": {"width": 256, ...}}, a preset's name, a file, or several
        of them. What they leave out is filled in, and the whole is the attribute `config`. Weights begin as
        `initialisation` says, from torch's random numbers; dropout is torch's too, so that a run trained here is
        another sample of the same distribution.

    Float32. Under torch.autocast("cpu", torch.bfloat16) products and attention are bfloat16, the residual stream and
    norms stay float32. Errors: InvalidArgument, a ValueError, where the configuration cannot be.
    """

    step: int  # of the optimiser that `load` found; what `save` writes

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config: dict[str, Any] = resolve(config)
        self.step = 0
        model = self.config["model"]
        C, V, self.context = model["width"], model["vocabulary"], model["context"]
        self.start = nn.Parameter(torch.empty(C))
        self.token_embedding = nn.Embedding(V, C)
        self.position_embedding = nn.ModuleList([nn.Embedding(extent, C) for extent in model["positions"]])
        self.hash_embedding = nn.ModuleDict(
            {str(g): nn.Embedding(model["hash_buckets"], C) for g in model["hash_orders"]}
        )
        self.token_convolution = _Convolution(model["convolution"], C) if model["convolution"] else None
        self.blocks = nn.ModuleList([_Block(model, k) for k in range(model["layers"])])
        self.final_norm = nn.LayerNorm(C, eps=1e-6)
        self.output = nn.Linear(C, V, bias=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initial values, docs/model.md, section 2."""
        model = self.config["model"]
        C, gpt2, paper = model["width"], model["initialisation"] == "gpt2", model["initialisation"] == "paper"

        def linear(fan_in: int) -> float:
            return _GPT2 if gpt2 else 0.125 / math.sqrt(fan_in) if paper else math.sqrt(0.125 / fan_in)

        for name, parameter in self.named_parameters():
            if name == "start" or name.startswith(("token_embedding.", "hash_embedding.")):
                std = _GPT2 if gpt2 else 0.125 / math.sqrt(C)
            elif name.startswith("position_embedding."):
                std = _GPT2 if gpt2 else 0.125 / math.sqrt(C * len(model["positions"]))
            elif name.startswith("token_convolution."):
                std = 1 / math.sqrt(model["convolution"])
            elif name == "output.weight":
                std = _GPT2 if gpt2 else 0
            elif name.endswith(("projection.weight", "contract.weight")):
                std = linear(parameter.shape[1]) / math.sqrt(2 * model["layers"])
            elif parameter.ndim == 2:
                std = linear(parameter.shape[1])
            else:
                parameter.fill_(1 if name.endswith("norm.weight") else 0)
                continue
            parameter.normal_(0, std) if std else parameter.zero_()

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) whole numbers in [0, V) -> logits (B, T + 1, V): row t is of the token that follows the first t.

        Row 0 is of a text's first token; T is less than the context. The loss of x (B, n) in nats a token is
        cross_entropy(model(x[:, :-1]).flatten(0, 1), x.flatten()).
        """
        if tokens.is_floating_point() or tokens.is_complex():
            raise InvalidArgument(f"SparseTransformer: needs whole numbers as tokens, got {tokens.dtype}")
        if tokens.ndim != 2 or tokens.shape[1] >= self.context:
            raise InvalidArgument(
                f"SparseTransformer: needs (B, T) tokens, T less than the context of {self.context}, "
                f"got {tuple(tokens.shape)}"
            )
        h = self._embed(tokens.long())
        for block in self.blocks:
            h = block(h)
        return self.output(self.final_norm(h))

    def _embed(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T + 1, C). A token's row of the position embeddings is that of its own place."""
        B, T = tokens.shape
        embedded = self.token_embedding(tokens)
        h, below = embedded, 1
        for embedding in reversed(self.position_embedding):
            h = h + _of_places(embedding.weight, below, T)
            below *= embedding.num_embeddings
        h = torch.cat([self.start.expand(B, 1, -1), h], dim=1)
        for order, embedding in self.hash_embedding.items():
            if (g := int(order)) <= T:
                h = h + F.pad(embedding(_buckets(tokens, g, embedding.num_embeddings)), (0, 0, g, 0))
        return h if self.token_convolution is None else h + self.token_convolution(embedded)

    @classmethod
    def load(cls, run: str | os.PathLike[str], checkpoint: str | int = "best") -> SparseTransformer:
        """The model of a run directory, a checkpoint directory or a .safetensors file, every byte verified.

        checkpoint: "best", "latest" or a step, of a run directory. Errors: FileNotFoundError, ValueError where a name
        is wrong, longstride.CorruptData where the file is damaged.
        """
        found = info(run, checkpoint)
        with torch.device("meta"):  # no weights are drawn to be thrown away
            model = cls(found.config)
        model.load_state_dict(_checkpoint.read(found.path), assign=True)
        model.step = found.step
        return model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the checkpoint: the file PATH where it ends in .safetensors, else the folder PATH with
        model.safetensors in it, which `longstride sample`, `evaluate` and `info` take, and `load`.

        A crash leaves the file that was there before.
        """
        path = os.fspath(path)
        if not path.endswith(".safetensors"):
            os.makedirs(path, exist_ok=True)
            path = os.path.join(path, "model.safetensors")
        _checkpoint.write_model(path, self.config, self.step, self._weights())

    def save_run(self, path: str | os.PathLike[str], optimizer: torch.optim.Optimizer | None = None) -> None:
        """Writes a run directory whose one checkpoint is this model: `longstride train --resume --out PATH` goes on
        from `step` with the configuration's `data` and `training`, and every other command takes it too.

        optimizer: an Adam or AdamW over the parameters, whose moments the program goes on with; None: they begin anew.
        Errors: ValueError where PATH holds files.
        """
        path = os.fspath(path)
        if os.path.isdir(path) and os.listdir(path):
            raise InvalidArgument(
                f'SparseTransformer.save_run: "{path}" holds files; name a folder that is new or empty'
            )
        weights = self._weights()
        of_parameters = {} if optimizer is None else {w: optimizer.state.get(w, {}) for w in self.parameters()}
        tensors = {f"weights.{name}": x for name, x in weights.items() if self.config["training"]["ema"]}
        for moment, key in (("first_moment", "exp_avg"), ("second_moment", "exp_avg_sq")):
            for name, w in self.named_parameters():
                found = of_parameters.get(w, {}).get(key)
                tensors[f"{moment}.{name}"] = torch.zeros_like(weights[name]) if found is None else _stored(found)
        updates = max((int(state.get("step", 0)) for state in of_parameters.values()), default=0)
        folder = os.path.join(path, "checkpoints", f"{self.step:09d}")
        os.makedirs(folder)
        _checkpoint.write_state(os.path.join(folder, "state.safetensors"), self.step, updates, tensors)
        _checkpoint.write_model(os.path.join(folder, "model.safetensors"), self.config, self.step, weights)
        _checkpoint.write_whole(os.path.join(path, "config.json"), json.dumps(self.config, indent=2).encode())

    def _weights(self) -> dict[str, Tensor]:
        return {name: _stored(x) for name, x in self.state_dict().items()}


def _stored(x: Tensor) -> Tensor:
    """As checkpoints have it."""
    return x.detach().float().cpu().contiguous()


class _Convolution(nn.Module):
    """Position p adds, for each lag k from 1 with k < p, row k - 1 times the embedding of token p - 1 - k."""

    def __init__(self, lags: int, C: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(lags, C))

    def forward(self, embedded: Tensor) -> Tensor:
        """(B, T, C) -> (B, T + 1, C)"""
        lags, C = self.weight.shape
        T = embedded.shape[1]
        before = F.pad(embedded[:, : max(T - 1, 0)].mT, (lags + 1, 0))
        return F.conv1d(before, self.weight.flip(0).t().unsqueeze(1), groups=C)[..., : T + 1].mT


class _Block(nn.Module):
    def __init__(self, model: Mapping[str, Any], block: int) -> None:
        super().__init__()
        C = model["width"]
        self.attention_norm = nn.LayerNorm(C, eps=1e-5)
        self.attention = _Attention(model, block)
        self.feedforward_norm = nn.LayerNorm(C, eps=1e-5)
        self.feedforward = _Feedforward(C, round(C * model["feedforward"]))
        self.dropout = nn.Dropout(model["dropout"])

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.dropout(self.attention(self.attention_norm(h)))
        return h + self.dropout(self.feedforward(self.feedforward_norm(h)))


class _Attention(nn.Module):
    def __init__(self, model: Mapping[str, Any], block: int) -> None:
        super().__init__()
        C, self.heads = model["width"], model["heads"]
        Cq = round(C * model["query_key"])
        self.query, self.key = nn.Linear(C, Cq), nn.Linear(C, Cq)
        self.value, self.projection = nn.Linear(C, C), nn.Linear(C, C)
        cycle = model["attention"] if isinstance(model["attention"], list) else [model["attention"]]
        of_block = cycle[block % len(cycle)]
        self.pattern: str | list[str] = of_block
        if isinstance(of_block, list):
            self.pattern = [of_block[h % len(of_block)] for h in range(self.heads)]

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        return self.projection(self.attend(q, k, v).transpose(1, 2).flatten(2))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, H, T, D), as all attentions of torch."""
        return attention(q, k, v, self.pattern)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, pattern={self.pattern!r}"


class _Feedforward(nn.Module):
    def __init__(self, C: int, hidden: int) -> None:
        super().__init__()
        self.expand, self.contract = nn.Linear(C, hidden), nn.Linear(hidden, C)

    def forward(self, x: Tensor) -> Tensor:
        x = self.expand(x)
        return self.contract(x * torch.sigmoid(1.702 * x))


def _of_places(weight: Tensor, below: int, T: int) -> Tensor:
    """(extent, C) -> (T, C): place t has row t // below mod extent. By copies, whose gradients are plain sums: torch 2.9
    compiles those of a look-up by computed rows to what reads beyond them."""
    rows = weight[: max(1, -(-T // below))].unsqueeze(1).expand(-1, below, -1).flatten(0, 1)
    return rows.repeat(max(1, -(-T // len(rows))), 1)[:T]


def _buckets(tokens: Tensor, g: int, buckets: int) -> Tensor:
    """(B, T) -> (B, T + 1 - g): rows for positions g .. T, by the g tokens before each (docs/configuration.md)."""
    T = tokens.shape[1]
    h = torch.zeros_like(tokens[:, : T + 1 - g])
    for i in range(g):
        h = (h ^ (tokens[:, i : T + 1 - g + i] + 1)) * _HASH
    return ((h >> 32) & 0xFFFFFFFF) % buckets
