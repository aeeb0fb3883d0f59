"""What a run leaves: checkpoints that Python reads, event files that TensorBoard reads, and the same bits after any kill."""
import json
import random
import shutil
import signal
import subprocess
import time

import pytest
from configurations import CONFIGURATIONS
from patterns import block_masks
from program import PROGRAM, TINY, last_checkpoint, log, run, run_json, settings, train
from safetensors import safe_open
from shapes import parameter_shapes

KILLS = 5


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_python_reads_a_checkpoint_as_specified(name, runs):
    path = last_checkpoint(runs(name))
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
        tensors = {key: file.get_slice(key) for key in file.keys()}
        found = {key: list(tensor.get_shape()) for key, tensor in tensors.items()}
    assert {tensor.get_dtype() for tensor in tensors.values()} == {"F32"}
    assert metadata["format"] == "longstride-1"
    config = json.loads(metadata["config"])
    assert set(config) == {"model", "data", "training"}
    assert found == parameter_shapes(config["model"])
    asked = {**TINY, **CONFIGURATIONS[name]}
    for block in range(config["model"]["layers"]):  # a pattern may be written in another way
        masks = [block_masks(attention, block, 4, 40) for attention in (config["model"]["attention"], asked["model__attention"])]
        assert (masks[0] == masks[1]).all()
    del asked["model__attention"]
    for key, value in asked.items():
        section, word = key.split("__")
        assert config[section][word] == value, key


def test_info_tells_what_the_file_holds(runs):
    path = last_checkpoint(runs("multi-head"))
    told = run_json("info", path)
    with safe_open(path, framework="np") as file:
        assert json.loads(file.metadata()["config"]) == told["config"]
        assert len(list(file.keys())) == len(told["tensors"])
    assert told["step"] == 40 and told["parameters"] > 0


def test_a_run_holds_what_the_interface_says(corpus, tmp_path):
    out = tmp_path / "run"
    train(out, corpus, 30, training__sample_minutes=10)
    found = {path.name for path in out.iterdir()}
    assert found == {"config.json", "checkpoints", "best", "log.jsonl", "samples", "tensorboard"}
    assert (out / "best").is_symlink() and (out / "best" / "model.safetensors").is_file()
    assert (out / "checkpoints" / "000000030" / "state.safetensors").is_file()
    assert (out / "samples" / "000000030.txt").stat().st_size > 0
    steps, validations = log(out)
    keys = "step tokens epoch loss_bits learning_rate gradient_norm step_s load_s exchange_s tokens_per_s utilisation memory_bytes"
    assert set(keys.split()) <= set(steps[0]) and len(steps) == 30
    assert {"step", "valid_bits", "min_context", "tokens_scored"} <= set(validations[-1])


def test_the_same_run_starts_from_its_config(corpus, tmp_path):
    first = train(tmp_path / "first", corpus, 8, model__dropout=0.2)
    run("train", "--config", tmp_path / "first" / "config.json", "--out", tmp_path / "second", "--quiet")
    assert last_checkpoint(tmp_path / "second").read_bytes() == first.read_bytes()


def events_in(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    return events.Reload()


def test_tensorboard_shows_training_and_validation_in_one_chart(corpus, tmp_path):
    out = tmp_path / "run"
    train(out, corpus, 12, training__sample_minutes=10)
    trained, validated = events_in(out / "tensorboard" / "train"), events_in(out / "tensorboard" / "valid")
    steps, validations = log(out)
    tags = {"bits": "loss_bits", "optimiser/learning_rate": "learning_rate", "optimiser/gradient_norm": "gradient_norm",
            "speed/tokens_per_s": "tokens_per_s", "speed/utilisation": "utilisation"}  # fmt: skip
    assert set(trained.Tags()["scalars"]) == set(tags) and validated.Tags()["scalars"] == ["bits"]
    for tag, key in tags.items():
        scalars = trained.Scalars(tag)
        assert [s.step for s in scalars] == [line["step"] for line in steps], tag
        assert [s.value for s in scalars] == pytest.approx([line[key] for line in steps], rel=1e-6), tag
    assert [s.value for s in validated.Scalars("bits")] == pytest.approx([v["valid_bits"] for v in validations], rel=1e-6)
    (sample,) = events_in(out / "tensorboard").Tensors("sample")
    words = sample.tensor_proto.string_val[0].decode()
    assert sample.step == 12 and len(words) > 50


def test_tensorboard_shows_the_configuration_as_text_and_as_hyperparameters(corpus, tmp_path):
    from tensorboard.plugins.hparams import metadata

    out = tmp_path / "run"
    train(out, corpus, 2, training__learning_rate=0.004)
    events = events_in(out / "tensorboard")
    (text,) = events.Tensors("configuration")
    config = json.loads((out / "config.json").read_text())
    shown = json.loads(text.tensor_proto.string_val[0].decode().strip("`"))
    for key in ("precision", "recompute"):  # as they were chosen; the file keeps what was asked for
        assert shown["training"][key] != "auto" and config["training"][key] in ("auto", shown["training"][key])
        config["training"][key] = shown["training"][key]
    assert shown == config
    start = metadata.parse_session_start_info_plugin_data(
        events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    )
    assert start.hparams["training.learning_rate"].number_value == 0.004
    assert start.hparams["model.attention"].string_value == config["model"]["attention"]
    assert len(start.hparams) == sum(len(section) for section in config.values())


def test_tensorboard_loses_no_step_where_a_run_goes_on(corpus, tmp_path):
    out = tmp_path / "run"
    command = [PROGRAM, "train", "--out", out, "--data", corpus, "--steps", "400", "--quiet", *settings(**TINY)]
    interrupted = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (out / "log.jsonl").is_file() or len((out / "log.jsonl").read_bytes().splitlines()) < 20:
        time.sleep(0.01)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait() == 130
    run("train", "--resume", "--out", out, "--quiet")
    scalars = events_in(out / "tensorboard" / "train").Scalars("bits")
    assert [s.step for s in scalars] == list(range(1, 401))


def killed_after(seconds, command):
    """Starts the command and kills it with SIGKILL, which no program can answer. True if it was still running."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_kill_at_any_moment_and_resume_give_the_same_bytes(corpus, tmp_path):
    keys = dict(model__dropout=0.1, model__attention="fixed(11,3)", training__ema=0.9, training__checkpoint_minutes=0.004,
                training__validate_minutes=0.01)  # fmt: skip
    options = ["--data", corpus, "--steps", "2000", "--quiet", *settings(**{**TINY, **keys})]
    begun = time.monotonic()
    run("train", "--out", tmp_path / "whole", *options)
    whole_s = time.monotonic() - begun
    out = tmp_path / "killed"
    moments = random.Random()
    kills = 0
    start = [PROGRAM, "train", "--out", out, *options]
    resume = [PROGRAM, "train", "--resume", "--out", out, "--quiet"]
    while kills < KILLS:
        there = (out / "config.json").is_file()
        if not killed_after(moments.uniform(0.05, whole_s / 2), resume if there else [*start, "--overwrite"]):
            if kills > 0:
                break  # it finished before it was killed
            whole_s /= 2  # the machine is quicker than it was a moment ago: once more from the beginning
            shutil.rmtree(out)
            continue
        kills += 1
        for path in (out / "checkpoints").glob("[0-9]*[0-9]/model.safetensors"):
            run("info", path, "--quiet")  # whole, or it would say so
    assert kills > 0
    run(*resume[1:])
    assert last_checkpoint(out).parent.name == "000002000"
    assert last_checkpoint(out).read_bytes() == last_checkpoint(tmp_path / "whole").read_bytes()
    steps, _ = log(out)
    assert [line["step"] for line in steps] == list(range(1, 2001))


def test_stopping_saves_says_how_to_go_on_and_exits_130(corpus, tmp_path):
    out = tmp_path / "run"
    options = ["--data", corpus, "--out", out, "--steps", "100000", *settings(**TINY)]
    process = subprocess.Popen([PROGRAM, "train", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not ((out / "log.jsonl").is_file() and len(log(out)[0]) > 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130 and b"--resume" in words
    steps, _ = log(out)
    assert int(last_checkpoint(out).parent.name) == steps[-1]["step"]


def test_threads_change_no_byte(corpus, tmp_path):
    one, two = (train(tmp_path / str(n), corpus, 12, model__dropout=0.1, training__threads=n) for n in (1, 2))
    assert one.read_bytes() == two.read_bytes()
