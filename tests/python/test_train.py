"""Training from Python: the program's bits, callbacks, what interrupts it, plans and configurations."""

import json
import os
import pathlib
import signal
import threading

import numpy as np
import pytest
from conftest import TINY, expect_ctrl_c, program_json

import longstride


def weights(run):
    return (pathlib.Path(longstride.info(run, "latest").path)).read_bytes()


def test_a_run_is_the_programs_run(corpus, text_run, tmp_path):
    steps, validations = [], []
    result = longstride.train(
        TINY, corpus, out=tmp_path / "run", on_step=steps.append, on_validation=validations.append, progress=False
    )
    ours, programs = longstride.load(result.run), longstride.load(text_run)
    text = corpus.read_bytes()[:500]
    np.testing.assert_array_equal(ours.logits(text[:95]), programs.logits(text[:95]))
    log = [json.loads(line) for line in (text_run / "log.jsonl").read_text().splitlines()]
    assert [step.loss_bits for step in steps] == [entry["loss_bits"] for entry in log if "loss_bits" in entry]
    assert [step.step for step in steps] == list(range(1, 13)) and steps[-1].share == 1
    assert all(step.exchange_s == 0 for step in steps)  # one process waits for no other
    assert not result.interrupted and result.step == 12 and result.valid_bits == validations[-1].bits
    assert pathlib.Path(result.checkpoint).is_file() and result.run == str(tmp_path / "run")


def test_a_callback_that_says_false_stops_and_resume_goes_on_to_the_same_bits(corpus, tmp_path):
    whole = longstride.train(TINY, corpus, out=tmp_path / "whole")
    stopped = longstride.train(TINY, corpus, out=tmp_path / "parts", on_step=lambda step: step.step < 5)
    assert stopped.interrupted and stopped.step == 5
    resumed = longstride.train(out=tmp_path / "parts", resume=True)
    assert not resumed.interrupted and resumed.step == 12
    assert longstride.load(resumed.run).logits(b"abc").tobytes() == longstride.load(whole.run).logits(b"abc").tobytes()


def test_ctrl_c_finishes_the_step_saves_and_raises(corpus, tmp_path):
    def interrupt(step):
        if step.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with expect_ctrl_c():
        longstride.train([TINY, {"training.steps": 100_000}], corpus, out=tmp_path / "run", on_step=interrupt)
    assert 4 <= longstride.info(tmp_path / "run", "latest").step <= 6


def test_ctrl_c_reaches_a_step_that_tells_nobody(corpus, tmp_path):
    """A signal that arrives while the library computes, not in a callback of Python."""
    with expect_ctrl_c(after_s=1.0):
        longstride.train([TINY, {"training.steps": 10_000_000}], corpus, out=tmp_path / "run")
    assert longstride.info(tmp_path / "run", "latest").step > 0


def test_what_a_callback_raises_is_raised_after_saving(corpus, tmp_path):
    def fail(step):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        longstride.train(TINY, corpus, out=tmp_path / "run", on_step=fail)
    assert longstride.info(tmp_path / "run", "latest").step == 1


def test_callbacks_run_on_the_callers_thread(corpus, tmp_path):
    seen = set()
    longstride.train(
        [TINY, {"training.steps": 2}], corpus, out=tmp_path / "run", on_step=lambda _: seen.add(threading.get_ident())
    )
    assert seen == {threading.get_ident()}


def test_training_threads_are_for_that_run(corpus, tmp_path):
    before, seen = longstride.machine().threads, []
    longstride.train(
        [TINY, {"training": {"steps": 1, "threads": 1}}],
        corpus,
        out=tmp_path / "run",
        on_step=lambda _: seen.append(longstride.machine().threads),
    )
    assert seen == [1] and longstride.machine().threads == before
    longstride.set_threads(3)
    assert longstride.machine().threads == 3
    longstride.set_threads(before)
    with pytest.raises(ValueError):
        longstride.set_threads(-1)


def test_a_resumed_run_keeps_its_threads(corpus, tmp_path):
    seen = []
    config = [TINY, {"training.threads": 1}]
    longstride.train(config, corpus, out=tmp_path / "run", on_step=lambda step: step.step < 2)
    longstride.train(
        out=tmp_path / "run", resume=True, on_step=lambda _: seen.append(longstride.machine().threads)
    )
    assert set(seen) == {1}


def test_a_run_that_has_ended_goes_on_with_more_steps(corpus, tmp_path):
    longstride.train(TINY, corpus, out=tmp_path / "run")
    longer = longstride.train(out=tmp_path / "run", resume=True, steps=15)
    assert longer.step == 15 and longstride.info(tmp_path / "run").config["training"]["steps"] == 15
    with pytest.raises(ValueError, match="steps"):
        longstride.train(TINY, corpus, out=tmp_path / "other", steps=15)


def test_training_begins_with_the_weights_of_another_run(corpus, text_run, tmp_path):
    changes = {"training.steps": 0, "model.context": 64, "model.dropout": 0.25}
    result = longstride.train(changes, corpus, out=tmp_path / "run", init=text_run)
    began, before = longstride.load(result.run), longstride.load(text_run)
    np.testing.assert_array_equal(began.logits(b"def "), before.logits(b"def "))
    config = longstride.info(result.run).config
    assert config["training"]["init"] == os.path.realpath(before.path) and config["model"]["dropout"] == 0.25
    assert config["model"]["attention"] == before.config["model"]["attention"]
    resolved = longstride.resolve(changes, corpus, init=text_run)
    assert resolved["model"] == config["model"] and longstride.plan(init=text_run).parameters == before.parameters
    assert resolved["training"]["learning_rate"] == TINY["training"]["learning_rate"]
    warm, usual = (longstride.resolve({"model.layers": 2, "training.steps": 999}, init=run) for run in (text_run, None))
    assert warm["training"]["warmup_steps"] == usual["training"]["warmup_steps"]  # not that run's own
    with pytest.raises(ValueError, match="model.width is 32 there, 64 here"):
        longstride.train({"model.width": 64}, corpus, out=tmp_path / "wide", init=text_run)
    with pytest.raises(ValueError, match="init and preset text-small"):
        longstride.train("text-small", corpus, out=tmp_path / "both", init=text_run)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        longstride.train(None, corpus, out=tmp_path / "none", init=tmp_path / "nowhere")


def test_patience_ends_a_run_that_gets_no_better(corpus, tmp_path):
    """Its learning rate is so low that validations stay as they are."""
    config = {"training": {**TINY["training"], "steps": 10**6, "learning_rate": 1e-30, "validate_minutes": 0.002}}
    result = longstride.train([TINY, config, {"training.patience": 2}], corpus, out=tmp_path / "run")
    assert result.stopped_early and not result.interrupted and result.step < 10**6
    assert not longstride.train(TINY, corpus, out=tmp_path / "whole").stopped_early


def test_trainings_at_the_same_time_leave_the_threads_as_they_were(corpus, tmp_path):
    before, both = longstride.machine().threads, threading.Barrier(2)

    def work(threads):
        met = []
        longstride.train([TINY, {"training.threads": threads}], corpus, out=tmp_path / str(threads), progress=False,
                         on_step=lambda _: met or met.append(both.wait(60)))  # fmt: skip

    workers = [threading.Thread(target=work, args=(threads,)) for threads in (1, before + 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert longstride.machine().threads == before


def test_pictures_train_by_their_own_preset(pictures, tmp_path):
    assert (
        longstride.resolve(None, pictures)["model"]
        == longstride.presets()["image-small"]["model"] | longstride.resolve("image-small")["model"]
    )
    assert longstride.resolve({"training.steps": 3}, pictures)["training"]["steps"] == 3


def test_configurations_are_layered(tmp_path, corpus):
    (tmp_path / "mine.json").write_text('{"training": {"steps": 7, "batch": 3}}  // mine')
    found = longstride.resolve(
        [
            "text-small",
            tmp_path / "mine.json",
            {"training.batch": 4, "model.attention": longstride.Pattern("strided(32)")},
        ]
    )
    preset = longstride.resolve("text-small")
    assert (
        found["training"]["steps"] == 7
        and found["training"]["batch"] == 4
        and found["model"]["attention"] == "strided(32)"
    )
    assert found["model"]["width"] == preset["model"]["width"]
    assert longstride.resolve({"training": {"steps": np.int64(2)}, "training.batch": 5})["training"]["steps"] == 2
    assert longstride.resolve(TINY)["model"]["width"] == 32 and "text-small" in longstride.presets()
    assert longstride.resolve("text-small", corpus)["data"]["paths"] == [str(corpus)]


def test_steps_are_counted_where_a_preset_goes_by_the_clock():
    assert longstride.resolve("text-small")["training"]["minutes"] > 0
    for steps in ({"training.steps": 5}, {"training": {"steps": 5}}):
        found = longstride.resolve(["text-small", steps])["training"]
        assert (found["steps"], found["minutes"]) == (5, 0)
    found = longstride.resolve(["text-small", {"training": {"steps": 5, "minutes": 2}}])["training"]
    assert (found["steps"], found["minutes"]) == (5, 2)


def test_a_plan_is_the_programs_plan():
    plan, said = longstride.plan("cifar10"), program_json("plan", "--preset", "cifar10")
    assert (plan.parameters, plan.parameters_by_part, plan.bytes) == (
        said["parameters"],
        said["parameters_by_part"],
        said["bytes"],
    )
    assert (plan.multiply_adds_per_step, plan.fits) == (said["multiply_adds_per_step"], said["fits"])


def test_data_that_change_meanwhile_are_said(corpus, tmp_path):
    data = tmp_path / "data.txt"
    data.write_bytes(corpus.read_bytes())
    assert longstride.train([TINY, {"training.steps": 2}], data, out=tmp_path / "alone").data_change == ""

    def append(step):
        with open(data, "ab") as file:
            file.write(b"more")

    result = longstride.train([TINY, {"training.steps": 2}], data, out=tmp_path / "run", on_step=append)
    assert result.data_change == "30,011 bytes then, 30,019 now"
    with pytest.raises(ValueError, match="data"):
        longstride.train(out=tmp_path / "run", resume=True, steps=4)


def test_a_plan_is_of_data_that_can_be_trained_on(corpus, tmp_path):
    assert longstride.plan(TINY, corpus).fits
    short = tmp_path / "short.txt"
    short.write_bytes(b"hallo")
    with pytest.raises(ValueError, match="less than one context") as planned:
        longstride.plan(TINY, short)
    with pytest.raises(ValueError) as trained:
        longstride.train(TINY, short, out=tmp_path / "run")
    assert str(planned.value) == str(trained.value)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        longstride.plan(TINY, tmp_path / "nowhere")


@pytest.mark.parametrize(
    "wrong, kind, words",
    [
        (lambda out, data: longstride.train("text-smal", data, out=out), ValueError, "text-small"),
        (lambda out, data: longstride.train({"training.stepz": 3}, data, out=out), ValueError, "training.steps"),
        (lambda out, data: longstride.train({"training": 3}, data, out=out), ValueError, "training"),
        (lambda out, data: longstride.train(TINY, "/nowhere/at/all", out=out), FileNotFoundError, "/nowhere/at/all"),
        (lambda out, data: longstride.train(out / "none.json", data, out=out), FileNotFoundError, "none.json"),
        (lambda out, data: longstride.train(TINY, out=out), ValueError, "no data"),
        (lambda out, data: longstride.train(TINY, data, out=out, resume=True), ValueError, "resume"),
        (lambda out, data: longstride.train(out=out, resume=True), FileNotFoundError, "run"),
        (lambda out, data: longstride.train(TINY, data, out=""), ValueError, "out needs the run directory"),
        (lambda out, data: longstride.train({"training.clip": float("nan")}, data, out=out), ValueError, "JSON has"),
        (lambda out, data: longstride.train(TINY, data, out="/proc/nothing"), OSError, "cannot make the folder"),
        (lambda out, data: longstride.train(TINY, data, out=out, on_step=5), TypeError, "on_step needs a function"),
        (lambda out, data: longstride.train({"training.steps": object()}, data, out=out), TypeError, "JSON"),
    ],
)
def test_what_cannot_be_is_refused_before_a_folder_is_made(corpus, tmp_path, wrong, kind, words):
    with pytest.raises(kind, match=words):
        wrong(tmp_path / "run", corpus)
    assert not (tmp_path / "run").exists()


def test_progress_is_shown_by_tqdm(corpus, tmp_path, capfd):
    longstride.train([TINY, {"training.steps": 2}], corpus, out=tmp_path / "quiet", progress=False)
    assert capfd.readouterr() == ("", "")
    longstride.train([TINY, {"training.steps": 2}], corpus, out=tmp_path / "shown", progress=True)
    assert "100%" in capfd.readouterr().err
