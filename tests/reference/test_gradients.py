"""Gradients of the whole network against autograd: every tensor, float32, relative to its norm.

The test program gradients_dump writes, for a checkpoint and a file of bytes, the mean loss (nats) of one batch and the
gradient of every parameter: tensors `tokens` (B, T), `loss`, and `d.NAME` for each parameter NAME.
"""
import subprocess

import pytest
import torch
import torch.nn.functional as F
from configurations import CONFIGURATIONS
from network import Network
from program import BUILD, last_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file

DUMP = BUILD / "tests" / "gradients_dump"
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def stirred(runs, tmp_path_factory):
    """stirred(name) -> a checkpoint of CONFIGURATIONS[name] with random weights, so that every gradient is far from
    0 (a trained model may have heads that nothing depends on, whose gradients are only rounding)."""
    folder = tmp_path_factory.mktemp("stirred")

    def get(name):
        original, path = last_checkpoint(runs(name)), folder / f"{name}.safetensors"
        with safe_open(original, framework="pt") as file:
            metadata = {key: value for key, value in file.metadata().items() if key != "sha256"}
        noise = torch.Generator().manual_seed(5)
        weights = load_file(original)
        for key, w in sorted(weights.items()):
            start = torch.ones_like(w) if "norm.weight" in key else torch.zeros_like(w)
            weights[key] = start + 0.2 * torch.randn(w.shape, generator=noise)
        save_file(weights, path, metadata)
        return path

    return get


def dump(checkpoint, data, out, *options):
    subprocess.run([DUMP, checkpoint, data, out, *options], check=True, timeout=60)
    return load_file(out)


def reference_gradients(checkpoint, tokens):
    network = Network(checkpoint, torch.float64)
    for w in network.parameters().values():
        w.requires_grad_(True)
    logits = network.logits(tokens)
    loss = F.cross_entropy(logits.flatten(0, 1), tokens.flatten())
    loss.backward()
    return loss.item(), {name: w.grad for name, w in network.parameters().items()}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_gradient_equals_autograd(name, stirred, text, tmp_path):
    checkpoint = stirred(name)
    data = tmp_path / "bytes"
    data.write_bytes(text[7000:7400])
    found = dump(checkpoint, data, tmp_path / "gradients.safetensors")
    tokens = found["tokens"].long()
    assert tokens.shape[0] >= 2  # sequences of a batch must not touch one another
    loss, expected = reference_gradients(checkpoint, tokens)
    assert found["loss"].item() == pytest.approx(loss, abs=1e-5)
    assert {name.removeprefix("d.") for name in found if name.startswith("d.")} == expected.keys()
    for parameter, gradient in expected.items():
        # The gradient of a key's bias is 0 but for rounding (softmax ignores what all keys share): it is the sum over rows
        # of what the key's weight sums with factors of about 1, and compared on that scale.
        scale = expected[parameter.replace(".key.bias", ".key.weight")].norm()
        error = (found["d." + parameter].double() - gradient).norm()
        assert error <= TOLERANCE * scale, f"{parameter}: {error / scale:.2e}"


def test_recomputation_gives_the_same_gradients(stirred, text, tmp_path):
    checkpoint = stirred("interleaved")
    data = tmp_path / "bytes"
    data.write_bytes(text[7000:7400])
    kept = dump(checkpoint, data, tmp_path / "kept.safetensors")
    again = dump(checkpoint, data, tmp_path / "again.safetensors", "--recompute")
    assert kept.keys() == again.keys()
    assert all(torch.equal(kept[name], again[name]) for name in kept)
