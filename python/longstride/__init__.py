"""longstride: Sparse Transformers over bytes, after Child et al. 2019 (arXiv 1904.10509). docs/python.md is its page.

    import longstride
    run = longstride.train("text-small", "book.txt", out="runs/first").run
    model = longstride.load(run)
    for made in model.sample_text("It was "):
        print(made.decode(errors="replace"), end="")

The package never prints: what it has to say beside results goes to the logger "longstride".
"""

from longstride import _core
from longstride.config import describe_data, info, machine, plan, presets, resolve, set_threads
from longstride.decoder import Decoder, Sequence
from longstride.errors import (
    CorruptData,
    Diverged,
    Error,
    Exhausted,
    InvalidArgument,
    MissingFile,
    Unavailable,
)
from longstride.model import Model, load
from longstride.pattern import Drawing, Explanation, Pattern, Reach, explain, lint, reach
from longstride.results import (
    DataDescription,
    Evaluation,
    Info,
    Machine,
    MadeSample,
    PerByte,
    Plan,
    Score,
    Step,
    TrainResult,
    Validation,
)
from longstride.sampling import Sound, TextStream
from longstride.training import train
from longstride.view import AttentionRow, AttentionView
from longstride.world import World, join_world

__version__: str = _core.version()

__all__ = [
    "AttentionRow",
    "AttentionView",
    "CorruptData",
    "DataDescription",
    "Decoder",
    "Diverged",
    "Drawing",
    "Error",
    "Evaluation",
    "Exhausted",
    "Explanation",
    "Info",
    "InvalidArgument",
    "Machine",
    "MadeSample",
    "MissingFile",
    "Model",
    "Pattern",
    "PerByte",
    "Plan",
    "Reach",
    "Score",
    "Sequence",
    "Sound",
    "Step",
    "TextStream",
    "TrainResult",
    "Unavailable",
    "Validation",
    "World",
    "describe_data",
    "explain",
    "info",
    "join_world",
    "lint",
    "load",
    "machine",
    "plan",
    "presets",
    "reach",
    "resolve",
    "set_threads",
    "train",
]
