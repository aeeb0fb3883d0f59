"""Training: from files to a run directory, resumable to the same bits."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from longstride import _core
from longstride.config import Config, Path, Paths, as_paths, resolved_json
from longstride.errors import InvalidArgument, naming_missing
from longstride.notes import note
from longstride.progress import Progress
from longstride.results import MadeSample, Plan, Step, TrainResult, Validation
from longstride.world import World, handle_of


def train(
    config: Config | None = None,
    data: Paths | None = None,
    *,
    out: Path,
    init: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    steps: int | None = None,
    minutes: float | None = None,
    world: World | None = None,
    on_step: Callable[[Step], bool | None] | None = None,
    on_validation: Callable[[Validation], object] | None = None,
    on_sample: Callable[[MadeSample], object] | None = None,
    progress: bool | None = None,
) -> TrainResult:
    """Trains on files and writes the run directory `out`, as `longstride train` does.

    config: a preset's name, the path of a JSON file, a dictionary whose keys may be dotted ({"training.steps": 9}) or
    a list of them, later ones over earlier; left out, the small preset of what the data are, which goes by the clock:
    three minutes. Steps of a dictionary are counted instead, unless it says training.minutes too. data: files and
    folders to learn from, over those of the configuration. resume: goes on exactly where `out` stopped, with the
    run's own configuration; `data` says where its data lie now, where they were moved. overwrite: replaces a run that
    `out` holds. training.threads, where it is not 0, is for this call: what set_threads said before is put back.

    init: a run (its best checkpoint), a checkpoint or a .safetensors file whose weights are begun with, its model and
    its settings coming before `config`; what changes tensors must stay. steps or minutes, with resume alone: the end
    that the run has from now on, counted from its beginning. training.patience ends a run that gets no better:
    `stopped_early` says so. world: processes that train together; all make this call, and the first one writes the run
    and calls the callbacks.

    on_step is called after every step; where it returns False, training saves and returns with `interrupted` set.
    Callbacks run on the caller's thread. progress: by tqdm; None shows it where tqdm is installed.

    Ctrl-C, and an exception of a callback, let the step finish and the checkpoint be written; then KeyboardInterrupt,
    or that exception, is raised. Either way resume=True goes on to the same bits.

    Raises ValueError where what was asked for cannot be, FileNotFoundError, CorruptData, MemoryError where the run does
    not fit or the disk is full, Diverged.
    """
    paths = as_paths(data)
    if not os.fspath(out):
        raise InvalidArgument("train: out needs the run directory to write or to go on with, got none")
    if resume and (config is not None or init is not None):
        raise InvalidArgument("train: resume=True goes on with the run's own configuration; leave out config and init")
    if not resume and (steps is not None or minutes is not None):
        raise InvalidArgument("train: steps and minutes are of resume=True; say training.steps or training.minutes")
    for name, callback in (("on_step", on_step), ("on_validation", on_validation), ("on_sample", on_sample)):
        if callback is not None and not callable(callback):
            raise TypeError(f"train: {name} needs a function, got {callback!r}")
    asked = "{}" if resume else resolved_json(config, paths, os.fspath(out), init)
    first = world is None or world.rank == 0
    with Progress(progress if first else False, "train") as line, naming_missing(*paths, *([out] if resume else [])):
        watcher = _Watcher(line, on_step, on_validation, on_sample)
        fields = _core.train(asked, paths, out, resume, overwrite, steps, minutes, handle_of(world), watcher)
    return TrainResult(run=os.fspath(out), **fields)


class _Watcher:
    """What the library tells while it trains."""

    def __init__(
        self,
        line: Progress,
        on_step: Callable[[Step], bool | None] | None,
        on_validation: Callable[[Validation], object] | None,
        on_sample: Callable[[MadeSample], object] | None,
    ):
        self._line, self._on_step, self._on_validation, self._on_sample = line, on_step, on_validation, on_sample

    def started(self, plan: dict[str, Any], data: str) -> None:
        note("%s; %s", data, Plan(**plan))

    def stepped(self, fields: dict[str, Any]) -> bool:
        step = Step(**fields)
        self._line.show(
            step.share, f"step {step.step}, {step.smoothed_bits:.3f} bits, {step.tokens_per_s:,.0f} tokens/s"
        )
        return self._on_step is None or self._on_step(step) is not False

    def validated(self, step: int, bits: float, best: bool) -> None:
        note("step %d: %.4f bits on the validation part%s", step, bits, ", the best so far" if best else "")
        if self._on_validation is not None:
            self._on_validation(Validation(step, bits, best))

    def saved(self, step: int, path: str) -> None:
        note("step %d: saved %s", step, path)

    def sampled(self, step: int, path: str, text: bytes, share: float) -> None:
        if self._on_sample is not None:
            self._on_sample(MadeSample(step, path, text, share))

    def noted(self, sentence: str) -> None:
        note(sentence)
