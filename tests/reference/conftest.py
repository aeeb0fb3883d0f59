"""Text to work on and runs to look at, made once a session."""
import pathlib
import signal
import sysconfig

import pytest
import torch
from configurations import CONFIGURATIONS
from program import PROGRAM, train


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
