"""longstride.torch.SparseTransformer against the program: logits, gradients of every tensor, checkpoints both ways."""

import json
import math
import os
import pathlib
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

from conftest import ROOT, program, program_json

import longstride
from longstride.torch import SparseTransformer

sys.path.append(str(ROOT / "tests" / "reference"))  # the network once more, with dense masks
from configurations import CONFIGURATIONS
from network import Network
from program import TINY
from shapes import parameter_shapes

BUILD = pathlib.Path(os.environ.get("LONGSTRIDE_BUILD", ROOT / "build" / "release"))
DUMP = BUILD / "tests" / "gradients_dump"  # the program's gradients of a checkpoint
BYTES = bytes(range(256)) + pathlib.Path(__file__).read_bytes()


def configuration(name):
    """What the reference checks train under this name."""
    config = {"model": {}, "training": {}}
    for key, value in {**TINY, **CONFIGURATIONS[name]}.items():
        section, key = key.split("__")
        config[section][key] = value
    return config


def stirred(name):
    """Every weight random and far from 0, so that every gradient is."""
    model, noise = SparseTransformer(configuration(name)), torch.Generator().manual_seed(5)
    with torch.no_grad():
        for key, w in model.named_parameters():
            w.copy_((1.0 if "norm.weight" in key else 0.0) + 0.2 * torch.randn(w.shape, generator=noise))
    return model


def windows(model, count):
    n = model.context
    return torch.tensor([list(BYTES[i * n : (i + 1) * n]) for i in range(count)])


def loss_of(model, x):
    return torch.nn.functional.cross_entropy(model(x[:, :-1]).flatten(0, 1), x.flatten())


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_state_dict_is_the_table_of_parameters(name):
    model = SparseTransformer(configuration(name))
    shapes = {key: list(w.shape) for key, w in model.state_dict().items()}
    assert shapes == parameter_shapes(model.config["model"])


@pytest.mark.skipif(not DUMP.is_file(), reason=f"there is no {DUMP}: build gradients_dump, or set LONGSTRIDE_BUILD")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_gradients_of_every_tensor_are_the_program_s(name, tmp_path):
    model = stirred(name)
    model.save(tmp_path)
    (tmp_path / "bytes").write_bytes(BYTES[: 3 * model.context])
    out = tmp_path / "gradients.safetensors"
    subprocess.run([DUMP, tmp_path / "model.safetensors", tmp_path / "bytes", out], check=True, timeout=60)
    found = safetensors_torch.load_file(out)
    loss = loss_of(model, windows(model, 3))
    loss.backward()
    assert loss.item() == pytest.approx(found["loss"].item(), abs=1e-5)
    gradients = {key: w.grad for key, w in model.named_parameters()}
    assert {"d." + key for key in gradients} == {key for key in found if key.startswith("d.")}
    for key, gradient in gradients.items():
        # A key's bias has gradient 0 but for rounding: it is compared on the scale of its weight's.
        scale = found["d." + key.replace(".key.bias", ".key.weight")].norm()
        error = (gradient - found["d." + key]).norm() / scale
        assert error <= 1e-4, f"{key}: {error:.2e}"


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_logits_are_the_definition_s_and_the_program_s(name, tmp_path):
    model = stirred(name).eval()
    model.save(tmp_path)
    x = windows(model, 2)
    with torch.no_grad():
        found = model(x[:, :-1])
    expected = Network(tmp_path / "model.safetensors", torch.float64).logits(x)
    assert (found - expected).abs().max() <= 1e-5 * max(1, expected.abs().max())
    of_program = longstride.load(tmp_path / "model.safetensors", precision="float32").logits(x[0, :-1].numpy())
    assert (found[0] - torch.from_numpy(of_program)).abs().max() <= 1e-5 * max(1, expected.abs().max())


@pytest.mark.parametrize("T", [0, 1, 2, 3])
def test_short_texts(T, tmp_path):
    for name in ("hashed", "convolved"):
        model = stirred(name).eval()
        x = windows(model, 2)
        assert torch.allclose(model(x[:, :T]), model(x[:, :-1])[:, : T + 1], atol=1e-5)


def test_a_run_of_the_program_is_loaded_and_gives_its_bits(tmp_path):
    data = tmp_path / "data"
    data.write_bytes(BYTES * 4)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(configuration("fixed")))
    program("train", "--config", config, "--data", data, "--out", tmp_path / "run", "--steps", 5, "--quiet")
    path = tmp_path / "run" / "checkpoints" / "000000005" / "model.safetensors"
    scored = tmp_path / "scored"
    scored.write_bytes(BYTES[: 5 * 101])
    said = program_json("evaluate", tmp_path / "run", "--data", scored)
    model = SparseTransformer.load(tmp_path / "run", "latest").eval()
    assert model.step == 5
    with torch.no_grad():
        bits = loss_of(model, windows(model, 5)).item() / math.log(2)
    assert bits == pytest.approx(said["bits_per_byte"], abs=1e-5)
    stored = safetensors_torch.load_file(path)
    assert stored.keys() == model.state_dict().keys()
    assert all(torch.equal(stored[key], w) for key, w in model.state_dict().items())


def test_what_is_trained_here_the_program_measures_and_samples(tmp_path):
    torch.manual_seed(1)
    model = SparseTransformer(configuration("multi-head"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    x = windows(model, 4)
    losses = []
    for _ in range(30):
        loss = loss_of(model, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() / math.log(2))
    model.step = 30
    assert losses[0] == pytest.approx(8, abs=1e-5)  # the output begins at 0
    assert losses[-1] < 6
    model.save(tmp_path / "trained")
    data = tmp_path / "data"
    data.write_bytes(BYTES[: 4 * model.context])
    said = program_json("evaluate", tmp_path / "trained", "--data", data)
    with torch.no_grad():
        assert said["bits_per_byte"] == pytest.approx(loss_of(model.eval(), x).item() / math.log(2), abs=1e-5)
    assert said["step"] == 30
    info = program_json("info", tmp_path / "trained")
    assert info["step"] == 30 and info["parameters"] == sum(w.numel() for w in model.parameters())
    sample = ("sample", tmp_path / "trained", "--tokens", 20, "--seed", 1)
    assert len(program(*sample)) >= 20


@pytest.mark.parametrize("ema", [0, 0.9])
def test_the_program_goes_on_with_a_run_that_began_here(ema, tmp_path):
    data = tmp_path / "data"
    data.write_bytes(BYTES * 4)
    config = configuration("multi-head")
    config["data"] = {"paths": [str(data)]}
    config["training"] |= {"ema": ema, "steps": 24, "learning_rate": 1e-3, "warmup_steps": 0}
    torch.manual_seed(1)
    model = SparseTransformer(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    x = torch.tensor(list(data.read_bytes()[: 20 * model.context])).view(20, -1)
    for model.step in range(1, 21):
        loss = loss_of(model, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_run(tmp_path / "run", optimizer)
    program("train", "--resume", "--out", tmp_path / "run", "--quiet")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = {line["step"]: line["loss_bits"] for line in lines if "loss_bits" in line}
    assert list(steps) == [21, 22, 23, 24]
    assert sum(steps.values()) / 4 < 6.5  # a model that knows nothing: 8; one step's windows may be of bytes in a row
    assert SparseTransformer.load(tmp_path / "run", "latest").step == 24
    state = safetensors_torch.load_file(tmp_path / "run" / "checkpoints" / "000000020" / "state.safetensors")
    assert torch.equal(state["first_moment.start"], optimizer.state[model.start]["exp_avg"])
    with pytest.raises(ValueError, match="holds files"):
        model.save_run(tmp_path / "run")


@pytest.mark.parametrize("initialisation", ["variance", "paper", "gpt2"])
def test_initial_weights_have_the_deviations_of_the_specification(initialisation):
    config = {"model": dict(width=256, heads=4, layers=3, context=256, hash_orders=[2], convolution=64,
                            positions=[16, 16], attention="fixed(16,4)", initialisation=initialisation)}  # fmt: skip
    torch.manual_seed(0)
    weights = SparseTransformer(config).state_dict()
    linear = {"variance": math.sqrt(0.125 / 256), "paper": 0.125 / 16, "gpt2": 0.02}[initialisation]
    embedding = 0.02 if initialisation == "gpt2" else 0.125 / 16
    expected = {
        "blocks.1.attention.query.weight": linear,
        "blocks.1.attention.projection.weight": linear / math.sqrt(6),
        "blocks.1.feedforward.contract.weight": linear / (1 if initialisation == "gpt2" else 2) / math.sqrt(6),
        "token_embedding.weight": embedding,
        "hash_embedding.2.weight": embedding,
        "position_embedding.1.weight": 0.02 if initialisation == "gpt2" else embedding / math.sqrt(2),
        "token_convolution.weight": 1 / 8,
        "output.weight": 0.02 if initialisation == "gpt2" else 0,
    }  # fmt: skip
    for key, std in expected.items():
        assert weights[key].std().item() == pytest.approx(std, rel=0.1), key
    assert weights["final_norm.weight"].eq(1).all() and weights["blocks.0.attention.query.bias"].eq(0).all()


def test_dropout_drops_while_training_alone():
    config = configuration("fixed")
    config["model"]["dropout"] = 0.5
    model = SparseTransformer(config)
    torch.nn.init.normal_(model.output.weight)
    x = windows(model, 1)[:, :-1]
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_the_module_compiles_whole_and_takes_autocast():
    model = stirred("multi-head")
    x = windows(model, 2)
    torch._dynamo.reset()
    expected = loss_of(model, x)
    compiled = torch.compile(model, fullgraph=True)
    loss = loss_of(compiled, x)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    loss.backward()
    with torch.autocast("cpu", torch.bfloat16):
        assert loss_of(model, x).item() == pytest.approx(expected.item(), abs=0.05)


def test_a_preset_is_a_configuration():
    with torch.device("meta"):
        model = SparseTransformer("enwik8")
    assert sum(w.numel() for w in model.parameters()) == 94_949_888


# --- what cannot be ---


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    model = stirred("fixed")
    model.save(path)
    whole = bytearray(path.read_bytes())
    whole[-3] ^= 1
    path.write_bytes(whole)
    with pytest.raises(longstride.CorruptData, match="its bytes do not give the sha256"):
        SparseTransformer.load(path)
    path.write_bytes(whole[:-4])
    with pytest.raises(longstride.CorruptData):
        SparseTransformer.load(path)
    tensors = model.state_dict()
    del tensors["start"]
    metadata = {"format": "longstride-1", "step": "1", "config": json.dumps(model.config)}
    safetensors_torch.save_file(tensors, path, metadata)
    with pytest.raises(longstride.CorruptData, match="start"):
        SparseTransformer.load(path)
    safetensors_torch.save_file(tensors, path)
    with pytest.raises(longstride.CorruptData, match="is not a model of longstride"):
        SparseTransformer.load(path)


@pytest.mark.parametrize(
    "config, words",
    [
        ({"model": {"widht": 3}}, "the nearest is model.width"),
        ({"model": {"width": 30, "heads": 4}}, "heads"),
        ("enwik9", "enwik8"),
    ],
)
def test_a_configuration_that_cannot_be_is_a_value_error(config, words):
    with pytest.raises(ValueError, match=words):
        SparseTransformer(config)


def test_what_are_no_tokens_of_a_text_is_a_value_error():
    model = SparseTransformer(configuration("fixed"))
    with pytest.raises(ValueError, match="needs whole numbers as tokens, got torch.float32"):
        model(torch.zeros(1, 5))
    assert model(torch.zeros(0, 5, dtype=torch.uint8)).shape == (0, 6, 256)
    with pytest.raises(ValueError, match=r"less than the context of 101, got \(1, 101\)"):
        model(torch.zeros(1, 101, dtype=torch.long))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        SparseTransformer.load("/nowhere")
