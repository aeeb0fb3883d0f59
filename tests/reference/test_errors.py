"""What goes wrong is one clear sentence, the right exit status, and nothing half written."""
import resource
import signal

import numpy as np
import pytest
from program import TINY, last_checkpoint, run, settings
from safetensors.numpy import save_file

ALWAYS_WRONG = [b"terminate called", b"what():", b"Traceback", b"Assertion", b"Segmentation", b"json.exception", b"std::"]


@pytest.fixture(scope="module")
def files(corpus, runs, tmp_path_factory):
    """Paths by name: sound ones and every kind of damaged one."""
    folder = tmp_path_factory.mktemp("files")
    model = last_checkpoint(runs("fixed")).read_bytes()
    contents = {
        "empty": b"", "short": b"only a few bytes", "cut": model[: len(model) // 2], "header": model[:20],
        "flipped": model[:-100] + bytes([model[-100] ^ 1]) + model[-99:], "text": b"no tensors here at all\n" * 9,
        "bad": b'{"model": {"width": }', "unknown": b'{"model": {"widht": 32}}', "list": b"[1, 2]",
        "huge": b"\xff" * 7 + b"\x7f" + b"{}",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    save_file({"a": np.zeros((3, 4), np.float32)}, folder / "foreign")
    (folder / "occupied").mkdir()
    (folder / "occupied" / "precious").write_text("mine")
    paths = {path.name: path for path in folder.iterdir()}
    return {**paths, "corpus": corpus, "run": runs("fixed"), "missing": folder / "missing", "out": folder / "out"}


TRAIN = "train --data {corpus} --out {out} --steps 1"
EVALUATE = "evaluate {run} --data {corpus}"
WRONG = [  # command, exit status, a word that the sentence must hold
    ("", 2, ""),
    ("trian", 2, ""),
    ("train --steps 1", 2, "data"),
    ("train --data {corpus} --steps 1", 2, "out"),
    ("train --data {missing} --out {out} --steps 1", 2, "missing"),
    ("train --data {empty} --out {out} --steps 1", 2, "empty"),
    ("train --data {short} --out {out} --steps 1", 2, "context"),
    (TRAIN + " --set model.widht=3", 2, "model.width"),
    (TRAIN + " --set model.width=wide", 2, "model.width"),
    (TRAIN + " --set model.width=-3", 2, "model.width"),
    (TRAIN + " --set model.width", 2, "--set"),
    (TRAIN + " --set model.heads=5", 2, "model.heads"),
    (TRAIN + " --set model.dropout=1.5", 2, "model.dropout"),
    (TRAIN + " --set model.positions=[2,2]", 2, "model.positions"),
    (TRAIN + " --set model.attention=fixed(11", 2, "fixed(11"),
    (TRAIN + " --set model.attention=fxied(11,3)", 2, "fixed"),
    (TRAIN + " --set model.attention=fixed(3,11)", 2, "fixed(3,11)"),
    (TRAIN + " --set data.split=[1,1,1]", 2, "data.split"),
    (TRAIN + " --precision float64", 2, "float"),
    (TRAIN + " --preset text-smal", 2, "text-small"),
    (TRAIN + " --steps -1", 2, "steps"),
    (TRAIN + " --config {bad}", 2, "bad"),
    (TRAIN + " --config {unknown}", 2, "model.width"),
    (TRAIN + " --config {list}", 2, "list"),
    (TRAIN + " --config {missing}", 2, "missing"),
    (TRAIN + " --colour", 2, "colour"),
    ("train --data {corpus} --out {run} --steps 1", 2, "--overwrite"),
    ("train --data {corpus} --out {occupied} --steps 1", 2, "occupied"),
    ("train --data {corpus} --out {occupied} --steps 1 --overwrite", 2, "occupied"),
    ("train --data {corpus} --out {short} --steps 1", 2, "short"),
    ("train --data {corpus} --out /proc/nothing --steps 1", 1, "/proc/nothing"),
    ("train --resume --out {missing}", 2, "missing"),
    ("evaluate {missing} --data {corpus}", 2, "missing"),
    ("evaluate {occupied} --data {corpus}", 2, "occupied"),
    ("evaluate {cut} --data {corpus}", 1, "cut"),
    ("evaluate {header} --data {corpus}", 1, "header"),
    ("evaluate {flipped} --data {corpus}", 1, "flipped"),
    ("evaluate {text} --data {corpus}", 2, "text"),
    ("evaluate {huge} --data {corpus}", 2, "huge"),
    ("evaluate {empty} --data {corpus}", 1, "empty"),
    ("evaluate {foreign} --data {corpus}", 1, "foreign"),
    ("evaluate {run} --data {missing}", 2, "missing"),
    ("evaluate {run} --data {empty}", 2, "empty"),
    (EVALUATE + " --min-context 101", 2, "[0, 100]"),
    (EVALUATE + " --min-context -1", 2, "min-context"),
    (EVALUATE + " --split tset", 2, "tset"),
    (EVALUATE + " --offset 99999999", 2, "offset"),
    (EVALUATE + " --bytes 0", 2, "bytes"),
    (EVALUATE + " --checkpoint 7", 2, "checkpoint"),
    (EVALUATE + " --checkpoint newest", 2, "newest"),
    ("sample {run} --temperature -1", 2, "temperature"),
    ("sample {run} --top-p 0", 2, "top-p"),
    ("sample {run} --tokens -5", 2, "tokens"),
    ("sample {run} --prime {missing}", 2, "missing"),
    ("sample {flipped}", 1, "flipped"),
    ("info {foreign}", 1, "foreign"),
    ("pattern fixed(128, --length 64", 2, "fixed(128,"),
    ("pattern striped(8) --length 64", 2, "strided"),
    ("pattern strided(0) --length 64", 2, "strided"),
    ("pattern strided(8) --length 0", 2, "length"),
    ("plan --preset enwik9", 2, "enwik8"),
]  # fmt: skip


def snapshot(files):
    folder = files["short"].parent
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command,status,word", WRONG, ids=[f"{w[0]}" for w in WRONG])
def test_wrong_input_is_one_sentence(command, status, word, files):
    before = snapshot(files)
    arguments = [part.format_map(files) for part in command.split()]
    if arguments[:1] == ["train"] and "--resume" not in arguments and "--preset" not in arguments:
        arguments[1:1] = settings(**TINY)  # first, so that the command's own settings win
    done = run(*arguments, status=status)
    words = done.stderr
    assert word in words.decode(), words
    assert not any(bad in words for bad in ALWAYS_WRONG), words
    assert words.count(b"\n") <= 4, words  # a pattern's error shows the place on lines of its own
    assert done.stdout == b""
    assert snapshot(files) == before
    assert not files["out"].exists()


def test_a_full_disk_leaves_no_half_checkpoint(corpus, tmp_path):
    """A limit on the size of files stands for a full disk: writes beyond it fail."""

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    out = tmp_path / "run"
    options = ["--data", corpus, "--out", out, "--steps", 2, *settings(**TINY)]
    done = run("train", *options, status=1, preexec_fn=small_files)
    assert b"safetensors" in done.stderr and not any(bad in done.stderr for bad in ALWAYS_WRONG)
    assert list((out / "checkpoints").iterdir()) == []


def test_help_is_there_and_shows_an_example():
    for command in ("train", "evaluate", "sample", "pattern", "plan", "info"):
        words = run(command, "--help").stdout.decode()
        assert f"longstride {command}" in words


def test_json_is_all_that_standard_output_holds(runs, corpus):
    for command in (["info", runs("fixed")], ["pattern", "dense", "--length", 8], ["plan", "--preset", "text-small"]):
        import json

        assert isinstance(json.loads(run(*command, "--json").stdout), dict)
