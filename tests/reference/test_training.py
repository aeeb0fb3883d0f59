"""Training steps against torch's autograd and AdamW, one window a step so that nothing depends on the data's order."""
import math

import pytest
import torch
from network import Network
from program import TINY, log, train
from safetensors.torch import load_file

STEPS = 4
WARMUP = 2
# Of the way that a tensor moved. Torch's own float32 differs from its float64 by 3e-5 here: Adam divides each gradient by
# its own size, so that elements with small ones move as far as any other.
MOVED = 1e-3


def learning_rate(update, steps, rate=TINY["training__learning_rate"], final=0.1):
    """Linear warm-up, then half a cosine that reaches `final` x rate at the last update."""
    if update <= WARMUP:
        return rate * update / WARMUP
    t = (update - WARMUP) / (steps - WARMUP)
    return rate * (final + (1 - final) * (1 + math.cos(math.pi * t)) / 2)


class Reference:
    """STEPS updates from an initial checkpoint on one window of bytes, in float64."""

    def __init__(self, checkpoint, window, clip, decay, ema):
        self.network = Network(checkpoint, torch.float64)
        self.tokens = torch.tensor([list(window)])
        self.weights = self.network.parameters()
        for w in self.weights.values():
            w.requires_grad_(True)
        matrices = [w for w in self.weights.values() if w.dim() >= 2]
        vectors = [w for w in self.weights.values() if w.dim() < 2]
        groups = [dict(params=matrices, weight_decay=decay), dict(params=vectors, weight_decay=0.0)]
        self.optimiser = torch.optim.AdamW(groups, lr=1, betas=(0.9, 0.999), eps=1e-8)
        self.average = {name: w.detach().clone() for name, w in self.weights.items()}
        self.clip, self.ema = clip, ema

    def step(self, rate):
        self.optimiser.zero_grad()
        bits = self.network.bits(self.tokens).mean()
        (bits * math.log(2)).backward()
        norm = torch.sqrt(sum((w.grad**2).sum() for w in self.weights.values()))
        if norm > self.clip:
            for w in self.weights.values():
                w.grad *= self.clip / norm
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        for name, w in self.weights.items():
            self.average[name] = self.ema * self.average[name] + (1 - self.ema) * w.detach()
        return bits.item(), norm.item()


def assert_near(found, expected, initial, tolerance):
    """Distance between the two, relative to how far training moved, over each tensor.

    Not for biases of keys: softmax ignores what all keys share, so their gradient is 0 but for rounding, which Adam then
    blows up to steps of full length; no output depends on it.
    """
    for name, w in expected.items():
        assert torch.isfinite(found[name]).all(), name
        if name.endswith(".key.bias"):
            continue
        moved = (w.detach() - initial[name]).norm()
        distance = (found[name].double() - w.detach()).norm()
        assert distance <= tolerance * moved, f"{name}: {distance / moved:.2e}"


@pytest.mark.parametrize("clip,decay,ema", [(1.0, 0.01, 0), (0.05, 0.3, 0.5)])
def test_updates_are_those_of_adamw(clip, decay, ema, text, tmp_path):
    window = text[3000 : 3000 + TINY["model__context"]]
    data = tmp_path / "window.txt"
    data.write_bytes(window)
    keys = dict(
        data__split=[1, 0, 0], model__attention="fixed(11,3)", training__batch=1, training__warmup_steps=WARMUP,
        training__final_rate=0.1, training__clip=clip, training__weight_decay=decay, training__ema=ema,
    )  # fmt: skip
    initial = train(tmp_path / "initial", data, 0, **keys)
    final = train(tmp_path / "run", data, STEPS, **keys)
    reference = Reference(initial, window, clip, decay, ema)
    started = {name: w.detach().clone() for name, w in reference.weights.items()}
    steps, _ = log(tmp_path / "run")
    assert [line["step"] for line in steps] == list(range(1, STEPS + 1))
    for line in steps:
        rate = learning_rate(line["step"], STEPS)
        bits, norm = reference.step(rate)
        assert line["learning_rate"] == pytest.approx(rate, rel=1e-6)
        assert line["loss_bits"] == pytest.approx(bits, abs=1e-4)
        assert line["gradient_norm"] == pytest.approx(norm, rel=1e-3)
        assert line["tokens"] == line["step"] * len(window)
    assert steps[0]["loss_bits"] == pytest.approx(8, abs=1e-6)
    assert_near(load_file(final), reference.average if ema else reference.weights, started, MOVED)
    if ema:
        state = load_file(final.parent / "state.safetensors")
        trained = {name.removeprefix("weights."): w for name, w in state.items() if name.startswith("weights.")}
        assert_near(trained, reference.weights, started, MOVED)


def test_it_learns_a_window_by_heart(text, tmp_path):
    data = tmp_path / "window.txt"
    data.write_bytes(text[3000 : 3000 + TINY["model__context"]])
    train(tmp_path / "run", data, 150, data__split=[1, 0, 0], model__attention="strided(9)", training__batch=1)
    steps, _ = log(tmp_path / "run")
    assert steps[-1]["loss_bits"] < 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recomputation_changes_no_bit(precision, corpus, tmp_path):
    keys = dict(model__dropout=0.1, training__accumulate=2, training__precision=precision)
    kept = load_file(train(tmp_path / "kept", corpus, 12, training__recompute="none", **keys))
    again = load_file(train(tmp_path / "again", corpus, 12, training__recompute="block", **keys))
    assert kept.keys() == again.keys()
    assert all(torch.equal(kept[name], again[name]) for name in kept)
