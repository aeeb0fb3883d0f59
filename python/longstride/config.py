"""Configurations of runs: presets, files and dictionaries in layers, as the program has them (configuration.md)."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Union

from longstride import _core
from longstride.errors import InvalidArgument, naming_missing
from longstride.notes import note
from longstride.pattern import Pattern
from longstride.results import DataDescription, Info, Machine, Plan

Path = Union[str, "os.PathLike[str]"]
Paths = Union[Path, Sequence[Path]]
Layer = Union[str, "os.PathLike[str]", Mapping[str, Any]]

# A preset's name, the path of a JSON file, a dictionary, or several of them, later ones over earlier. Keys of
# dictionaries may be dotted: {"training.steps": 100}. A dictionary with training.steps goes by them, not by the clock,
# unless it says training.minutes too.
Config = Union[Layer, Sequence[Layer]]


def presets() -> dict[str, dict[str, Any]]:
    """The presets' configurations, by name."""
    return {name: json.loads(_core.preset_json(name)) for name in _core.preset_names()}


def resolve(config: Config | None = None, data: Paths | None = None, init: Path | None = None) -> dict[str, Any]:
    """The whole configuration that `train` would use, every key present.

    Where nothing says what the model is, the small preset of what the data are comes first: text-small, image-small or
    sound-small. init: a run or a checkpoint whose weights `train` is to begin with: its model and its settings come
    first. ValueError where a key is unknown, a value cannot be or a preset does not exist; FileNotFoundError
    where a file does not.
    """
    paths = as_paths(data)
    result: dict[str, Any] = json.loads(resolved_json(config, paths, "", init))
    if paths:
        result["data"]["paths"] = paths
    return result


def plan(config: Config | None = None, data: Paths | None = None, init: Path | None = None) -> Plan:
    """Parameters, memory and products a step of a run, before it starts.

    Raises as `resolve`, and what `train` would raise of the data and of the weights that it begins with.
    """
    paths = as_paths(data)
    asked = resolved_json(config, paths, "", init)
    with naming_missing(*paths):
        return Plan(**_core.plan(asked, paths))


def info(run: Path, checkpoint: str | int = "best") -> Info:
    """What a run or a checkpoint is, without reading its weights.

    run: a run directory, a checkpoint directory or a .safetensors file; checkpoint, of a run directory: "best",
    "latest" or a step. FileNotFoundError, ValueError, or CorruptData where it is damaged.
    """
    run = os.fspath(run)
    with naming_missing(run):
        fields = _core.describe(run, str(checkpoint))
    fields["config"] = json.loads(fields["config"])
    return Info(**fields)


def describe_data(data: Paths, config: Config | None = None) -> DataDescription:
    """What data are, read once as training would read them: `longstride info --data`.

    config, as of `train`: data.image_size, data.sample_rate and the like say how. Pictures and sound are decoded into a
    folder that goes again, unless data.cache names one. What is to be said of them is logged as it comes, and is in
    `notes`. FileNotFoundError, ValueError, or CorruptData where they cannot be read.
    """
    paths = as_paths(data)
    with tempfile.TemporaryDirectory(prefix="longstride-") as folder, naming_missing(*paths):
        fields = _core.describe_data(resolved_json(config, paths, "", None), paths, folder, note)
    return DataDescription(**fields)


def machine() -> Machine:
    """What this machine offers: processor, instruction sets, threads, memory."""
    return Machine(**_core.machine())


def set_threads(threads: int) -> None:
    """Threads that every call of this process computes on from now on.

    0, as before the first call: OMP_NUM_THREADS, or every core that the process may use. Results are the same bits for any
    number. Call it while nothing computes. ValueError where it is negative or beyond 4,096; Exhausted where the system
    does not let the process have so many.
    """
    _core.set_threads(threads)


def as_paths(data: Paths | None) -> list[str]:
    if data is None:
        return []
    return [os.fspath(path) for path in ([data] if isinstance(data, (str, os.PathLike)) else data)]


def resolved_json(config: Config | None, data: list[str], run: str, init: Path | None) -> str:
    """Of the configuration alone: its data stay what it says itself."""
    layers: list[Layer] = []
    if isinstance(config, (str, os.PathLike, Mapping)):
        layers = [config]
    elif config is not None:
        layers = list(config)
    read = [_read(layer) for layer in layers]
    if init is not None:
        for name, _ in read:
            if name.startswith("preset "):
                raise InvalidArgument(f"init and {name}: a model is one of theirs, got both")
        with naming_missing(init):
            read.insert(0, (f"init {os.fspath(init)}", _core.config_to_begin_with(init)))
    elif not any(_says_model(layer, text) for layer, (_, text) in zip(layers, read, strict=True)):
        paths = (
            data or json.loads(_core.resolve([text for _, text in read], [name for name, _ in read]))["data"]["paths"]
        )
        with naming_missing(*paths):
            preset = _core.kind_of(paths, run) + "-small"
        read.insert(0, _read(preset))
    return _core.resolve([text for _, text in read], [name for name, _ in read])


def _read(layer: Layer) -> tuple[str, str]:
    """The source's name and its JSON."""
    if isinstance(layer, Mapping):
        try:
            return "config", json.dumps(_nested(layer), default=_plain, allow_nan=False)
        except ValueError as error:  # nan, infinity, or what holds itself
            raise InvalidArgument(f"config: needs values that JSON has: {error}") from None
    name = os.fspath(layer)
    if isinstance(layer, str) and name in _core.preset_names():
        return f"preset {name}", _core.preset_json(name)
    if os.path.exists(name) or os.sep in name or name.endswith(".json") or not isinstance(layer, str):
        with naming_missing(name):
            return name, _core.read_text(name)
    return name, _core.preset_json(name)  # says which presets there are


def _says_model(layer: Layer, text: str) -> bool:
    """A preset or a file says it all; a dictionary where it names a key of the model."""
    return not isinstance(layer, Mapping) or "model" in json.loads(text)


def _nested(layer: Mapping[str, Any]) -> dict[str, Any]:
    """{"training.steps": 1, "training": {"batch": 2}} as {"training": {"steps": 1, "batch": 2}}."""
    result: dict[str, Any] = {}
    for key, value in layer.items():
        section, _, name = str(key).partition(".")
        entry = {name: value} if name else value
        if isinstance(entry, Mapping) and isinstance(result.get(section, {}), Mapping):
            result[section] = {**result.get(section, {}), **entry}
        else:
            result[section] = entry
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, Pattern):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item"):  # a number of NumPy
        return value.item()
    raise TypeError(f"config: needs values that JSON has, got {value!r}")
