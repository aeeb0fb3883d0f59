"""Several processes from Python: the bits of one, and what the others hear where one of them fails."""

import dataclasses
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time

import pytest
from conftest import TINY

import longstride

SHARED = {**TINY, "training": {**TINY["training"], "accumulate": 2, "lanes": 2}}

TOGETHER = """
import dataclasses, json, sys
import longstride

config, data, out = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
with longstride.join_world() as world:
    steps = []
    result = longstride.train(config, data, out=out, world=world, progress=False,
                              on_step=lambda step: steps.append(step.loss_bits))
    model = longstride.load(out)
    evaluation = dataclasses.asdict(model.evaluate(data, world=world))
    made = model.sample_tokens(["a", "b", "c"], tokens=20, world=world)
    said = {"rank": world.rank, "size": world.size, "hosts": len(world.hosts), "steps": steps, "step": result.step,
            "evaluation": evaluation, "made": [tokens.tobytes().hex() for tokens in made]}
try:
    model.evaluate(data, world=world)
except ValueError as error:
    said["left"] = str(error)
print(json.dumps(said))
"""

FAILS = """
import json, sys
import longstride

with longstride.join_world() as world:
    if world.rank == 1:
        raise RuntimeError("enough")
    longstride.train(json.loads(sys.argv[1]), sys.argv[2], out=sys.argv[3], world=world, progress=False)
"""

STOPPED = """
import json, os, signal, sys
import longstride

config, data, out = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
with longstride.join_world() as world:
    def begun(step):
        if step.step == 3:
            print("begun", flush=True)
    try:
        print(longstride.train(config, data, out=out, world=world, on_step=begun, progress=False).interrupted)
    except KeyboardInterrupt:
        print("KeyboardInterrupt")
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def started(code, *arguments, size=2):
    """`size` processes that run the code with these arguments."""
    environment = {**os.environ, "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**environment, "RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip


def ended(processes):
    """(status, standard output, standard error) of each."""
    said = [process.communicate(timeout=240) for process in processes]
    return [(process.returncode, *both) for process, both in zip(processes, said)]


def test_two_processes_give_the_bits_of_one(corpus, tmp_path):
    both = ended(started(TOGETHER, json.dumps(SHARED), corpus, tmp_path / "two"))
    assert [(status, error) for status, _, error in both] == [(0, ""), (0, "")]
    first, second = (json.loads(output) for _, output, _ in both)
    steps = []
    longstride.train(SHARED, corpus, out=tmp_path / "one", on_step=lambda step: steps.append(step.loss_bits))
    one, two = longstride.load(tmp_path / "one"), longstride.load(tmp_path / "two")
    assert one.logits(b"abc").tobytes() == two.logits(b"abc").tobytes()
    assert first["steps"] == steps and second["steps"] == [] and first["step"] == second["step"] == 12
    assert (first["rank"], second["rank"], first["size"], first["hosts"]) == (0, 1, 2, 2)
    expected = dataclasses.asdict(two.evaluate(corpus))
    for said in (first, second):
        assert said["made"] == [tokens.tobytes().hex() for tokens in two.sample_tokens(["a", "b", "c"], tokens=20)]
        assert said["evaluation"] | {"seconds": 0} == expected | {"seconds": 0}
        assert "left" in said["left"]


def test_what_one_process_raises_is_said_in_all(corpus, tmp_path):
    first, second = ended(started(FAILS, json.dumps(SHARED), corpus, tmp_path / "run"))
    assert first[0] == second[0] == 1
    assert "longstride.errors.Unavailable: process 1 of 2 on " in first[2] and "RuntimeError: enough" in first[2]
    assert second[2].splitlines()[-1] == "RuntimeError: enough"


def test_ctrl_c_in_one_process_saves_and_ends_the_call_in_all(corpus, tmp_path):
    endless = {**SHARED, "training": {**SHARED["training"], "steps": 10**7}}
    processes = started(STOPPED, json.dumps(endless), corpus, tmp_path / "run")
    assert processes[0].stdout.readline() == "begun\n"
    processes[1].send_signal(signal.SIGINT)
    first, second = ended(processes)
    assert first == (0, "True\n", "") and second == (0, "KeyboardInterrupt\n", "")
    assert longstride.info(tmp_path / "run", "latest").step >= 3


def test_a_process_that_is_killed_is_missed(corpus, tmp_path):
    endless = {**SHARED, "training": {**SHARED["training"], "steps": 10**7}}
    processes = started(STOPPED, json.dumps(endless), corpus, tmp_path / "run")
    assert processes[0].stdout.readline() == "begun\n"
    processes[1].kill()
    begun = time.monotonic()
    first, _ = ended(processes)
    assert first[0] == 1 and "process 1 of 2 on" in first[2] and "has died" in first[2]
    assert time.monotonic() - begun < 30


@pytest.fixture
def alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_launcher_it_is_a_world_of_one(corpus, text_run, alone):
    threads = longstride.machine().threads
    with longstride.join_world() as world:
        assert (world.rank, world.size, world.hosts) == (0, 1, ()) and "process 0 of 1" in repr(world)
        model = longstride.load(text_run)
        assert model.evaluate(corpus, world=world).bits_per_byte == model.evaluate(corpus).bits_per_byte
        assert model.evaluate(corpus, bytes=100, per_byte=True, world=world).per_byte.at.shape == (100,)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(world)
    assert longstride.machine().threads == threads
    with pytest.raises(ValueError, match="left"):
        model.sample_tokens(tokens=1, world=world)
    world.leave()


def test_a_launcher_that_says_what_cannot_be_is_refused(alone, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ValueError, match="WORLD_SIZE: is missing"):
        longstride.join_world()
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ValueError, match="WORLD_SIZE: needs a whole number"):
        longstride.join_world()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    monkeypatch.setenv("LONGSTRIDE_MEETING_S", "1")
    with pytest.raises(NotImplementedError, match="127.0.0.1"):
        longstride.join_world()
