"""Bits per dim of pictures and bits of sound against the independent network, on data made here: pictures one window
each, sound by windows, every integration, and the CIFAR-10 model of the paper at its full depth.
"""
import hashlib

import numpy as np
import pytest
import soundfile
import torch
from network import Network, bits_per_byte
from program import last_checkpoint, run, run_json, train
from safetensors import safe_open
from safetensors.torch import save_file
from test_data import mu_law, photograph

FLOAT32 = 1e-4  # bits
INTEGRATIONS = {
    "merged": "strided(11)",
    "interleaved": ["column(12)", "window(12)", "window(12)"],
    "multi-head": [["local(9)", "column(12)"]],
}


def perturbed(checkpoint, out, seed=1):
    """The checkpoint with noise in every tensor: what training starts from is 0 in places, and would hide errors."""
    random = torch.Generator().manual_seed(seed)
    with safe_open(checkpoint, framework="pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != "sha256"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    for name, tensor in tensors.items():
        spread = 0.2 * tensor.std() if tensor.numel() > 1 and tensor.std() > 0 else 0.1
        if name == "output.weight":
            spread = tensor.shape[1] ** -0.5  # logits of spread 1
        tensor += spread * torch.randn(tensor.shape, generator=random)
    save_file(tensors, out, metadata)
    return out


def cifar_batch(path, count, seed):
    """Records of CIFAR-10's form, and their pictures as rows of bytes."""
    pictures = np.stack([photograph(32, 32, seed=seed + i) for i in range(count)])
    labels = np.arange(count, dtype=np.uint8)[:, None]
    np.hstack([labels, pictures.transpose(0, 3, 1, 2).reshape(count, -1)]).tofile(path)
    return pictures.reshape(count, -1)


def scored(told, data, checkpoint):
    assert told["tokens_scored"] == len(data)
    assert told["data_sha256"] == hashlib.sha256(data).hexdigest()
    assert told["checkpoint_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    expected = bits_per_byte(Network(checkpoint), data)
    assert told["bits_per_byte"] == pytest.approx(expected, abs=FLOAT32)
    return told["bits_per_byte"]


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_bits_per_dim_of_pictures_equal_the_reference(name, tmp_path):
    train_on = np.stack([photograph(10, 8, seed=seed) for seed in range(40)])
    np.save(tmp_path / "train.npy", train_on)
    train(tmp_path / "run", tmp_path / "train.npy", 20, model__context=240, model__positions=[8, 10, 3],
          model__layers=3, model__attention=INTEGRATIONS[name], model__heads=2)  # fmt: skip
    checkpoint = perturbed(last_checkpoint(tmp_path / "run"), tmp_path / "model.safetensors")
    unseen = np.stack([photograph(10, 8, seed=seed) for seed in range(100, 105)])
    np.save(tmp_path / "unseen.npy", unseen)
    told = run_json("evaluate", checkpoint, "--data", tmp_path / "unseen.npy", "--precision", "float32")
    assert told["kind"] == "image" and told["windows"] == 5 and told["context"] == 240
    assert "5 pictures of 8 x 10 x 3" in told["data"]
    scored(told, unseen.tobytes(), checkpoint)


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_bits_of_sound_equal_the_reference_by_windows(name, tmp_path):
    time = np.arange(9000) / 12000
    melody = 0.4 * np.sin(2 * np.pi * 440 * time * (1 + 0.3 * time)) + 0.1 * np.sin(2 * np.pi * 97 * time)
    soundfile.write(tmp_path / "train.wav", melody, 12000, "PCM_16")
    train(tmp_path / "run", tmp_path / "train.wav", 20, model__attention=INTEGRATIONS[name], model__heads=2,
          model__layers=3)  # fmt: skip
    checkpoint = perturbed(last_checkpoint(tmp_path / "run"), tmp_path / "model.safetensors")
    soundfile.write(tmp_path / "unseen.wav", melody[::-1][:777], 12000, "PCM_16")
    stored, _ = soundfile.read(tmp_path / "unseen.wav", dtype="float64")
    told = run_json("evaluate", checkpoint, "--data", tmp_path / "unseen.wav", "--precision", "float32")
    assert told["kind"] == "sound" and told["windows"] == 8  # of 101 codes, the last one shorter
    scored(told, mu_law(stored).tobytes(), checkpoint)


def test_the_cifar10_model_at_full_depth_equals_the_reference_on_the_test_part(tmp_path):
    folder = tmp_path / "cifar"
    folder.mkdir()
    cifar_batch(folder / "data_batch_1.bin", 50, seed=1)
    test = cifar_batch(folder / "test_batch.bin", 2, seed=100)
    run("train", "--preset", "cifar10", "--data", folder, "--out", tmp_path / "run", "--steps", 0, "--quiet")
    checkpoint = perturbed(last_checkpoint(tmp_path / "run"), tmp_path / "model.safetensors")
    told = run_json("evaluate", checkpoint, "--data", folder, "--split", "test", "--bytes", 3072, "--precision", "float32")
    assert told["kind"] == "image" and told["windows"] == 1 and told["context"] == 3072
    assert "test part" in told["data"]
    network = Network(checkpoint)
    assert network.model["layers"] == 128
    assert abs(scored(told, test[0].tobytes(), checkpoint) - 8) > 0.1
