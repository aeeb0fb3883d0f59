"""The package beside the program: data, and small runs that the program trained on the spot."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sysconfig
import threading
import wave

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("LONGSTRIDE_PROGRAM", ROOT / "build" / "release" / "longstride"))

TINY = {
    "model": {"context": 96, "layers": 2, "width": 32, "heads": 4, "attention": "fixed(16,4)", "positions": [12, 8]},
    "training": {"steps": 12, "batch": 2, "learning_rate": 0.01, "warmup_steps": 4, "precision": "float32"},
}


@contextlib.contextmanager
def expect_ctrl_c(after_s=None):
    """What is within ends with KeyboardInterrupt: Ctrl-C comes after so many seconds, or from within where none is given."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(after_s or 0, os.kill, (os.getpid(), signal.SIGINT))
    try:
        if after_s is not None:
            timer.start()
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        if after_s is not None:
            timer.join()
        signal.signal(signal.SIGINT, before)


def program(*arguments):
    """Standard output of the program, bytes."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def program_json(*arguments):
    return json.loads(program(*arguments, "--json"))


def pytest_sessionstart(session):
    if not PROGRAM.is_file():
        raise pytest.UsageError(f"there is no program at {PROGRAM}: build it, or set LONGSTRIDE_PROGRAM")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Real text that every machine with Python has."""
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    path = tmp_path_factory.mktemp("corpus") / "python.txt"
    path.write_bytes(b"".join(file.read_bytes() for file in sorted(library.glob("[a-b]*.py")))[:30_011])
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """40 pictures of 8 x 8 with a slope of colours."""
    path = tmp_path_factory.mktemp("pictures") / "slopes.npy"
    place, row, column, channel = np.meshgrid(*map(np.arange, (40, 8, 8, 3)), indexing="ij")
    np.save(path, ((place * 7 + row * 20 + column * 5 * channel) % 256).astype(np.uint8))
    return path


@pytest.fixture(scope="session")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 4000, 0, "NONE", ""))
        file.writeframes((12000 * np.sin(np.arange(8000) / 5)).astype("<i2").tobytes())
    return path


def trained(out, paths, **sections):
    """A run of TINY with some of its keys replaced."""
    config = out.parent / f"{out.name}.json"
    config.write_text(json.dumps({name: {**TINY.get(name, {}), **sections.get(name, {})} for name in [*TINY, "data"]}))
    program("train", "--config", config, "--data", paths, "--out", out, "--quiet")
    return out


@pytest.fixture(scope="session")
def text_run(corpus, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "text", corpus)


@pytest.fixture(scope="session")
def picture_run(pictures, tmp_path_factory):
    model = {"context": 192, "positions": [8, 8, 3]}
    return trained(tmp_path_factory.mktemp("runs") / "pictures", pictures, model=model)


@pytest.fixture(scope="session")
def sound_run(recording, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "sound", recording, data={"sample_rate": 4000})
