"""The package inside a process of Python: threads, the lock, forks, pickles, iterators that are dropped, signals."""

import copy
import gc
import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import TINY, expect_ctrl_c

import longstride

TEXT = b"class Abstract(metaclass=ABCMeta):\n"


@pytest.fixture(scope="module")
def model(text_run):
    return longstride.load(text_run)


@pytest.fixture(scope="module")
def long_text(corpus):
    return corpus.read_bytes() * 40


def test_two_threads_may_use_two_models_or_one(text_run, model):
    expected, results = model.bits(TEXT).tobytes(), []

    def ask(own):
        for _ in range(20):
            results.append(own.bits(TEXT).tobytes())

    threads = [threading.Thread(target=ask, args=(own,)) for own in (model, model, longstride.load(text_run))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 60


def test_other_threads_go_on_while_the_library_computes(model, long_text):
    worker = threading.Thread(target=model.score, args=(long_text,))
    worker.start()
    turns = 0
    while worker.is_alive():
        turns += 1
        time.sleep(0)
    worker.join()
    assert turns > 100


@pytest.mark.parametrize(
    "work",
    [
        lambda model, path: model.score(path.read_bytes()),
        lambda model, path: model.evaluate(path),
        lambda model, path: model.sample_tokens(tokens=10**7),
        lambda model, path: model.sample_text(tokens=10**9).read(),
    ],
    ids=["score", "evaluate", "sample_tokens", "sample_text"],
)
def test_ctrl_c_ends_what_takes_long(model, long_text, tmp_path, work):
    (tmp_path / "long.txt").write_bytes(long_text)
    with expect_ctrl_c(after_s=0.3):
        while True:
            work(model, tmp_path / "long.txt")
    assert len(model.bits(TEXT)) == len(TEXT)


def test_ctrl_c_ends_the_wait_for_a_model_that_is_at_work(model, corpus):
    """A text that nobody reads on keeps the model at work until it is closed."""
    decoder = model.decoder()
    sequence = decoder.join()
    asks = [
        lambda: model.logits(TEXT),
        lambda: model.bits(TEXT),
        lambda: model.evaluate(corpus),
        lambda: model.attention(TEXT),
        lambda: model.sample_tokens(tokens=1),
        lambda: next(model.sample_text(tokens=1)),
        lambda: sequence.read(TEXT),
        lambda: decoder.step([sequence], [1]),
        model.decoder,
        decoder.join,
    ]
    with model.sample_text(tokens=10**9) as stream:
        next(stream)
        for ask in asks:
            with expect_ctrl_c(after_s=0.1):
                ask()
        assert next(stream)
    assert len(model.bits(TEXT)) == len(TEXT)


def test_a_handler_that_asks_the_model_at_work_is_told_so(model, long_text):
    before = signal.signal(signal.SIGALRM, lambda *_: model.bits(TEXT))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(ValueError, match="load another"):
            while True:
                model.score(long_text)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(model.bits(TEXT)) == len(TEXT)


def test_a_handler_of_python_runs_while_the_library_computes(model, long_text):
    """One that raises nothing changes nothing."""
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(threading.get_ident()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        bits = model.score(long_text).bits
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(bits) == len(long_text) and set(seen) == {threading.get_ident()}


POOL_OF_ANOTHER_LIBRARY = """
import ctypes, os, re, signal, sys
import longstride

(path,) = {line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}
nothing = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)

def handling():
    masks = {}
    for task in os.listdir("/proc/self/task"):
        words = open(f"/proc/self/task/{task}/status").read()
        masks[int(task)] = int(re.search(r"SigBlk:\\s*(\\w+)", words)[1], 16)
    return {task for task, mask in masks.items() if not mask & 1 << signal.SIGINT - 1}

others = handling()  # this one, and those of NumPy
ctypes.CDLL(path).GOMP_parallel(nothing, None, 4, 0)
assert len(handling() - others) == 3, (handling(), others)
longstride.set_threads(4)
model = longstride.load(sys.argv[1])
model.logits(b"abc")
assert handling() == others, (handling(), others)
decoder = model.decoder()
decoder.step([decoder.join()], [1])
model.score(b"abc")
assert handling() == others, (handling(), others)
"""


def test_no_thread_that_computes_handles_signals(text_run):
    """Not even those that another library made, which shares OpenMP with this one."""
    done = subprocess.run([sys.executable, "-c", POOL_OF_ANOTHER_LIBRARY, text_run], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()


def test_a_dropped_iterator_stops_its_work(model):
    model.bits(TEXT)
    stream = model.sample_text(tokens=10**9)
    next(stream)
    started = time.monotonic()
    del stream
    gc.collect()
    assert len(model.bits(TEXT)) == len(TEXT)  # would wait for the text's end
    assert time.monotonic() - started < 30
    for _ in model.sample_text(tokens=10**9):
        break
    assert len(model.bits(TEXT)) == len(TEXT)


def test_a_stream_that_is_alive_at_the_end_of_the_program_ends_with_it(text_run):
    code = (
        f"import longstride; s = longstride.load({str(text_run)!r}).sample_text(tokens=10**9); print(len(next(s)) > 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@pytest.mark.parametrize(
    "work",
    [
        "longstride.train(config, sys.argv[2], out=sys.argv[3], progress=False, on_step=lambda _: begun.set())",
        "model.score(b'abc' * 100_000)",
        "model.logits(b'abc')",
        "longstride.Pattern('dense').reach(100)",
    ],
)
def test_a_daemon_thread_that_is_at_work_at_the_end_of_the_program_ends_with_it(text_run, corpus, tmp_path, work):
    code = f"""
import sys, threading, time, longstride
config = {TINY | {"training": {**TINY["training"], "steps": 10**9}}}
model = longstride.load(sys.argv[1])
begun = threading.Event()
def work():
    while True:
        {work}
        begun.set()
for _ in range({1 if "train" in work else 2}):
    threading.Thread(target=work, daemon=True).start()
assert begun.wait(60)
time.sleep(0.3)
"""
    arguments = [sys.executable, "-c", code, text_run, corpus, tmp_path / "run"]
    done = subprocess.run(arguments, capture_output=True, timeout=120, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    if "train" in work:  # it saved
        assert longstride.info(tmp_path / "run", "latest").step > 0


def score_in_child(path, answers):
    try:
        answers.put(longstride.load(path).bits(TEXT).tobytes())
    except longstride.Error as error:
        answers.put(error)


def in_a_process(method, *arguments):
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    process = context.Process(target=score_in_child, args=(*arguments, answers))
    process.start()
    answer = answers.get(timeout=120)
    process.join(120)
    assert process.exitcode == 0
    return answer


def test_a_second_interpreter_refuses():
    interpreters = pytest.importorskip("_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters")
    code = f"""
import {interpreters.__name__} as interpreters
made = interpreters.create()
try:
    failed = interpreters.run_string(made, "import longstride")
except Exception as error:
    failed = error
print(failed is not None)
interpreters.destroy(made)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, text=True)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_refuses_and_a_spawned_one_computes(text_run, model):
    expected = model.bits(TEXT).tobytes()
    refused = in_a_process("fork", text_run)
    assert isinstance(refused, NotImplementedError) and "spawn" in str(refused)
    assert in_a_process("spawn", text_run) == expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_that_holds_models_ends(text_run, model):
    """Patterns work there, and what it inherits goes without waiting for threads that it has not."""
    held = [longstride.load(text_run)]
    sequence = held[0].decoder().join()
    sequence.read(TEXT)
    stream = held[0].sample_text(tokens=10**9)
    next(stream)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            del sequence, stream
            held.clear()
            gc.collect()
            code = 0 if longstride.Pattern("dense").count(3) == 4 else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    if ended[0] == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended[0] == child and os.waitstatus_to_exitcode(ended[1]) == 0
    stream.close()


def test_what_holds_memory_refuses_to_be_pickled_and_says_why(model):
    decoder = model.decoder()
    for thing in (model, decoder, decoder.join(), model.attention(TEXT), model.sample_text(tokens=1)):
        for refuse in (pickle.dumps, copy.copy):
            with pytest.raises(TypeError, match="cannot be pickled"):
                refuse(thing)


def test_results_and_errors_are_pickled(model, corpus):
    for result in (model.evaluate(corpus, bytes=500), longstride.machine(), longstride.Pattern("dense").reach(9)):
        assert pickle.loads(pickle.dumps(result)) == result
    score = model.score(TEXT)
    assert pickle.loads(pickle.dumps(score)).bits.tolist() == score.bits.tolist()
    assert len({score, score, model.score(TEXT)}) == 2  # what holds arrays is compared by what it is, not by what it holds
    for kind in (longstride.InvalidArgument, longstride.MissingFile, longstride.CorruptData, longstride.Exhausted):
        same = pickle.loads(pickle.dumps(kind("a sentence")))
        assert type(same) is kind and str(same) == "a sentence" and isinstance(same, longstride.Error)


def test_nothing_is_printed_and_notes_are_logged(model, corpus, tmp_path, capfd, caplog):
    with caplog.at_level(logging.INFO, "longstride"):
        longstride.train([TINY, {"training.steps": 1}], corpus, out=tmp_path / "run", progress=False)
        model.sample_text(tokens=200).read()  # beyond the context of 96
    assert "saved" in caplog.text and "context" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_damaged_files_are_said_to_be(text_run, tmp_path):
    whole = (text_run / "best" / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-100])
    with pytest.raises(longstride.CorruptData, match="cut.safetensors"):
        longstride.load(tmp_path / "cut.safetensors")


def test_names_that_are_no_utf_8_survive(corpus, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        longstride.load(folder / "none")
    assert os.fsdecode(b"caf\xe9") in str(caught.value)


@pytest.mark.parametrize(
    "kind, python",
    [
        ("InvalidArgument", ValueError),
        ("MissingFile", FileNotFoundError),
        ("MissingFile", ValueError),
        ("Unavailable", NotImplementedError),
        ("Unavailable", RuntimeError),
        ("Exhausted", MemoryError),
        ("Exhausted", OSError),
        ("Diverged", ArithmeticError),
    ],
)
def test_errors_are_pythons_own_too(kind, python):
    error = getattr(longstride, kind)
    assert issubclass(error, python) and issubclass(error, longstride.Error)


def test_more_memory_than_there_is_is_a_memory_error(corpus, tmp_path):
    huge = {
        "model": {"context": 64, "width": 65536, "layers": 200, "heads": 512, "attention": "dense", "positions": [64]}
    }
    with pytest.raises(MemoryError, match="free"):
        longstride.train(huge, np.__file__, out=tmp_path / "run")
