"""What calls give back: frozen dataclasses, with the names that the program's JSON has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Evaluation:
    """Bits per byte of a model on data, under the protocol that the other fields state (docs/evaluation.md)."""

    bits_per_byte: float
    standard_error: float | None  #: of the mean, windows as independent samples; None: fewer than two windows
    tokens_scored: int
    context: int
    min_context: int
    kind: str  #: text | image | sound
    windows: int
    data: str  #: what was scored, in words
    data_sha256: str  #: of the bytes scored
    offset: int
    checkpoint: str
    checkpoint_sha256: str
    step: int
    precision: str
    split: str
    origin: dict[str, str]  #: what computed this
    trained_by: dict[str, str] | None  #: what trained the checkpoint; None: it does not say
    seconds: float
    per_byte: PerByte | None = field(default=None, compare=False)  #: where it was asked for


@dataclass(frozen=True, eq=False)  # arrays have no one answer to ==
class PerByte:
    """What each of T scored bytes cost, and the K likeliest in its place: `longstride evaluate --per-byte`."""

    at: NDArray[np.int64]  #: (T,) in the part, the offset counted
    byte: NDArray[np.int32]  #: (T,)
    bits: NDArray[np.float64]  #: (T,) -log2 p; they add up to the evaluation's
    expected: NDArray[np.int32]  #: (T, K) likeliest first
    probability: NDArray[np.float64]  #: (T, K) of these


@dataclass(frozen=True, eq=False)
class Score:
    """Bits of each token under the protocol of evaluations."""

    bits: NDArray[np.float32]  #: (T,) -log2 p(token | those before it in its window)
    bits_per_token: float
    standard_error: float | None  #: of the mean; None: fewer than two windows
    windows: int


@dataclass(frozen=True)
class Step:
    """One step of training, as the log has it."""

    step: int  #: steps done, this one included
    steps: int  #: planned; by the clock: an estimate
    share: float  #: of the run that is done, 0 to 1
    tokens: int
    epoch: float
    loss_bits: float
    smoothed_bits: float
    learning_rate: float
    gradient_norm: float
    step_s: float
    load_s: float  #: of step_s, spent waiting for data
    exchange_s: float  #: of step_s, spent waiting for other processes
    tokens_per_s: float
    utilisation: float  #: needed multiply-adds / time / measured peak
    time_left_s: float
    memory_bytes: int
    skipped: bool  #: the step's loss or gradient was not finite
    not_finite: str  #: then: what was so first


@dataclass(frozen=True)
class Validation:
    """The model on the validation part, while training goes on."""

    step: int
    bits: float
    best: bool


@dataclass(frozen=True)
class MadeSample:
    """What a run made to show how far it is."""

    step: int
    path: str  #: of its file in the run
    text: bytes  #: its bytes where the model writes text, else none
    share: float  #: of its length that was made in the time that samples may take


@dataclass(frozen=True)
class TrainResult:
    """What training left."""

    run: str  #: the run directory, for longstride.load
    step: int
    interrupted: bool  #: on_step said so; longstride.train(out=..., resume=True) goes on to the same bits
    stopped_early: bool  #: training.patience ended it: so many validations in a row were no better
    valid_bits: float | None  #: None: there is no such part
    test_bits: float | None
    test_order0_bits: float | None  #: order-0 entropy of the test part's bytes
    test_bytes: int
    checkpoint: str  #: the last one saved: the path of its model.safetensors
    data_bytes: int
    data_sha256: str
    data_change: str  #: what changed in the data since the run began, which resume=True then refuses; "": nothing
    origin: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """What a run will need."""

    parameters: int
    parameters_by_part: dict[str, int]
    bytes: dict[str, int]  #: of memory, by part, and "total"
    bytes_without_recomputation: int  #: activations and workspace alone, either way
    bytes_with_recomputation: int
    multiply_adds_per_step: int
    memory_available_bytes: int
    fits: bool
    advice: str  #: where it does not fit: what to change
    precision: str  #: as it will be
    recompute: str


@dataclass(frozen=True)
class Info:
    """What a run or a checkpoint is."""

    path: str  #: of model.safetensors
    config: dict[str, Any]
    step: int
    parameters: int
    tensors: dict[str, tuple[int, ...]]  #: shapes
    valid_bits: float | None  #: the last validation up to that step
    trained_by: dict[str, str] | None
    data_sha256: str | None
    data_bytes: int | None


@dataclass(frozen=True, eq=False)
class DataDescription:
    """What data are, before anything is trained on them."""

    kind: str  #: text | image | sound
    data: str  #: in words
    bytes: int
    train_bytes: int  #: of the parts
    valid_bytes: int
    test_bytes: int
    order0_bits: float  #: a byte, by the bytes' own frequencies
    notes: tuple[str, ...]  #: what training would say of them
    window: NDArray[np.uint8]  #: the first of training: tokens, at most one context, or a picture (H, W, C)


@dataclass(frozen=True)
class Machine:
    """What this machine offers, and what is used of it."""

    processor: str
    instruction_sets: tuple[str, ...]  #: best last
    instruction_set: str  #: in use; the environment's LONGSTRIDE_ISA forces one
    threads: int  #: in use; see set_threads
    memory_bytes: int
    memory_available_bytes: int
    bfloat16: bool  #: products of bfloat16 run natively
    libraries: tuple[str, ...]
