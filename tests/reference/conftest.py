"""Text to work on and runs to look at, made once a session."""
import pathlib
import signal
import sysconfig

import pytest
import torch
from program import PROGRAM, train

CONFIGURATIONS = {  # name: settings over TINY. Contexts that strides do not divide, strides that heads do not divide
    "fixed": dict(model__attention="fixed(11,3)"),
    "strided": dict(model__attention="strided(9)", model__context=97),
    "interleaved": dict(model__attention=["row(13)", "summary(13,2)", "previous_row(13) | window(3)"], model__layers=3),
    "multi-head": dict(
        model__attention=[["local(7)", "column(8)", "fixed(10,3)"], ["prefix(5) | window(4)", "digits(4,2)"]],
        model__query_key=0.5, model__feedforward=2, model__positions=[5, 7, 3],
    ),
    "hashed": dict(model__hash_orders=[2, 3, 5], model__hash_buckets=89, model__attention=["window(5)", "column(6)"]),
    "convolved": dict(model__convolution=4, model__attention="fixed(9,2)"),
    "dense": dict(model__attention="dense", model__context=64, model__positions=[64]),
}  # fmt: skip


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than some seconds")
    torch.set_num_threads(2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else a shell's & has programs ignore it


def pytest_sessionstart(session):
    if not PROGRAM.is_file():
        raise pytest.UsageError(f"there is no program at {PROGRAM}: build it, or set LONGSTRIDE_PROGRAM")


@pytest.fixture(scope="session")
def text():
    """Real text that every machine with Python has: about 200 kB of its library's sources."""
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    joined = b"".join(path.read_bytes() for path in sorted(library.glob("[a-d]*.py")))
    assert len(joined) > 200_000
    return joined[:200_003]


@pytest.fixture(scope="session")
def corpus(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "python.txt"
    path.write_bytes(text)
    return path


@pytest.fixture(scope="session")
def runs(corpus, tmp_path_factory):
    """runs(name) -> directory of a run of CONFIGURATIONS[name], trained for 40 steps."""
    made = {}

    def get(name):
        if name not in made:
            out = tmp_path_factory.mktemp("runs") / name
            train(out, corpus, 40, **CONFIGURATIONS[name])
            made[name] = out
        return made[name]

    return get
