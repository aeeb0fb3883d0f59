"""The reference itself against the specification's oracles, then the program's patterns and counts against the reference."""
import math

import pytest
from patterns import pattern_mask
from program import PROGRAM, run, run_json
from shapes import parameter_shapes

ORACLES = [  # pattern, n, pairs over all queries
    ("strided(4)", 16, 82), ("dense", 16, 136), ("fixed(4,1)", 16, 64), ("fixed(4,2)", 16, 88), ("fixed(4,3)", 16, 112),
    ("local(16)", 256, 4216), ("window(16)", 256, 3976), ("column(16)", 256, 2176), ("strided(16)", 256, 5896),
]  # fmt: skip
LARGE = [("dense", 75_503_616), ("strided(128)", 2_148_416), ("fixed(128,32)", 19_470_336)]  # n = 12,288
ODD = [
    ("strided(7)", 100), ("fixed(10,3)", 97), ("fixed(13,13)", 50), ("local(200)", 100), ("row(9) | summary(9,2,1)", 101),
    ("previous_row(11)", 75), ("prefix(5) | window(3) | column(6)", 64), ("digits(3,2)", 80), ("digits(3,3) | local(2)", 81),
    ("summary(7,3)", 60), ("window(1)", 33), ("column(1)", 20), ("row(1)", 20), ("fixed(5,2) | strided(3)", 1),
]  # fmt: skip
# Untied output, biases on six linears, a start vector.
PRESETS = {
    "cifar10": (dict(layers=128, width=256, feedforward=2, query_key=0.5, positions=[32, 32, 3]), 59_196_928),
    "enwik8": (dict(layers=30, width=512, feedforward=4, query_key=1, positions=[96, 128]), 94_949_888),
    "imagenet64": (dict(layers=48, width=512, feedforward=4, query_key=1, positions=[64, 64, 3]), 151_645_184),
}


@pytest.mark.parametrize("pattern,n,pairs", ORACLES)
def test_masks_count_what_the_oracles_say(pattern, n, pairs):
    assert pattern_mask(pattern, n).sum() == pairs


@pytest.mark.parametrize("pattern,pairs", LARGE)
def test_masks_count_what_the_oracles_say_at_12288(pattern, pairs):
    assert pattern_mask(pattern, 12288).sum() == pairs


@pytest.mark.parametrize("preset", PRESETS)
def test_shapes_sum_to_the_published_counts(preset):
    model, parameters = PRESETS[preset]
    shapes = parameter_shapes({"vocabulary": 256, **model})
    assert sum(math.prod(shape) for shape in shapes.values()) == parameters


@pytest.mark.parametrize("pattern,n", ODD)
def test_the_program_counts_pairs_as_the_masks_do(pattern, n):
    heads = 4
    told = run_json("pattern", pattern, "--length", n, "--heads", heads)
    masks = [pattern_mask(pattern, n, head) for head in range(heads)]
    assert told["length"] == n and told["heads"] == heads
    assert told["pairs"] == [mask.sum() for mask in masks]
    assert told["keys_max"] == max(mask.sum(axis=1).max() for mask in masks)
    assert told["keys_mean"] == pytest.approx(sum(mask.sum() for mask in masks) / (heads * n), abs=1e-3)


@pytest.mark.parametrize("pattern,pairs", LARGE)
def test_the_program_counts_large_patterns(pattern, pairs):
    assert run_json("pattern", pattern, "--length", 12288, "--heads", 1)["pairs"] == [pairs]


def test_a_sequence_of_a_million_costs_nothing_to_describe():
    n = 2**20
    told = run_json("pattern", "column(1024)", "--length", n, "--heads", 1)
    assert told["pairs"] == [sum(1024 * k for k in range(1, 1025))]


def test_the_plan_of_enwik8_has_the_published_parameters():
    plan = run_json("plan", "--preset", "enwik8")
    assert plan["parameters"] == PRESETS["enwik8"][1]
    assert sum(plan["parameters_by_part"].values()) == plan["parameters"]
    assert sum(v for k, v in plan["bytes"].items() if k != "total") == plan["bytes"]["total"]


def test_pictures_are_written_whole(tmp_path):
    run("pattern", "fixed(8,2)", "--length", 64, "--picture", tmp_path / "a.png")
    run("pattern", "fixed(8,2)", "--length", 64, "--picture", tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert (tmp_path / "a.svg").read_text().rstrip().endswith("</svg>")
    assert PROGRAM.is_file() and len(list(tmp_path.iterdir())) == 2
