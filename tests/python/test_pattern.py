"""Patterns as Python's values, and what they say beside what the program says."""

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
from conftest import program, program_json

import longstride
from longstride import Pattern


DRAWN = "██\n· ██\n██· ██\n· ██· ██\n"


def reads_fixed_16_4(i, j):
    """fixed(16,4) of head 0 by its definition: the row, and the last four cells of every row."""
    return j <= i and (j // 16 == i // 16 or j % 16 >= 12)


def test_attends_is_the_definition_for_numbers_and_arrays():
    pattern = Pattern("fixed(16,4)")
    expected = np.array([[reads_fixed_16_4(i, j) for j in range(70)] for i in range(70)])
    table = pattern.attends(np.arange(70)[:, None], np.arange(70))
    assert table.dtype == bool and np.array_equal(table, expected)
    assert pattern.attends(40, 12) is True and pattern.attends(40, 11) is False and pattern.attends(3, 4) is False


def test_counts_keys_and_pairs_agree_with_the_definition():
    pattern = Pattern("strided(8)")
    table = pattern.attends(np.arange(90)[:, None], np.arange(90))
    assert np.array_equal(pattern.count(np.arange(90)), table.sum(1))
    assert pattern.count(89) == table[89].sum() and isinstance(pattern.count(89), int)
    assert np.array_equal(pattern.keys(89), np.flatnonzero(table[89]))
    assert pattern.pairs(90) == table.sum() and pattern.max_keys(90) == table.sum(1).max()


def test_a_shape_is_kept_and_nothing_gives_nothing():
    pattern = Pattern("dense")
    assert pattern.count(np.arange(6).reshape(2, 3)).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert pattern.attends([], []).shape == (0,)
    assert pattern.attends(np.arange(8, dtype=np.uint8)[::2], 0).tolist() == [True] * 4


def test_a_pattern_is_a_value():
    pattern = Pattern("local(8) | column(8)")
    assert pattern == Pattern("strided(8)") and hash(pattern) == hash(Pattern("strided(8)"))
    assert pattern != Pattern("strided(9)") and pattern != "strided(8)"
    assert pickle.loads(pickle.dumps(pattern)) == pattern == copy.deepcopy(pattern)
    assert repr(pattern) == 'longstride.Pattern("strided(8)")' and eval(repr(pattern)) == pattern
    assert (Pattern("window(3)") | Pattern("column(8)")).attends(16, 8)
    with pytest.raises(AttributeError):
        pattern.text = "dense"


def test_each_head_has_its_own_part_of_a_fixed_pattern():
    second = Pattern("fixed(16,4)").for_head(1)
    assert second.attends(40, 8) and not second.attends(40, 12)


@pytest.mark.parametrize(
    "attention, heads",
    [("fixed(128,32)", 4), ("strided(100)", None), ([["window(5)", "column(8)"], "dense"], None), (["local(6)"], 3)],
)
def test_explain_says_what_the_program_says(attention, heads):
    words = attention if isinstance(attention, str) else json.dumps(attention)
    said = program_json("pattern", words, "--length", 1000, *(["--heads", heads] if heads else []))
    assert dataclasses.asdict(longstride.explain(attention, 1000, heads)) == said


def test_layouts_take_patterns():
    assert longstride.explain([[Pattern("window(5)"), "column(8)"]], 64) == longstride.explain(
        [["window(5)", "column(8)"]], 64
    )
    with pytest.raises(ValueError, match="got 5"):
        longstride.explain([5], 64)
    with pytest.raises(TypeError, match="patterns"):
        longstride.explain([object()], 64)


def test_reach_and_lint():
    assert Pattern("strided(8)").reach(64) == longstride.Reach(True, 2, 0, 0, True)
    lonely = Pattern("window(1)").reach(10)
    assert not lonely.all and lonely.key < lonely.query
    assert Pattern("strided(8)").lint(64) == [] and "never" in " ".join(Pattern("window(1)").lint(10))


def test_a_drawing_shows_itself_as_the_program_draws(tmp_path):
    drawing = Pattern("fixed(16,4)").draw(64, pixels=768)
    program("pattern", "fixed(16,4)", "--length", 64, "--picture", tmp_path / "program.png", "--quiet")
    drawing.save(tmp_path / "package.png")
    assert (tmp_path / "package.png").read_bytes() == (tmp_path / "program.png").read_bytes()
    assert drawing.array.shape == (768, 768, 3) and drawing.array.dtype == np.uint8
    assert drawing._repr_svg_().startswith("<svg") and str(Pattern("column(2)").draw(4)) == DRAWN
    drawing.save(tmp_path / "package.svg")
    assert (tmp_path / "package.svg").read_text() == drawing.svg
    with pytest.raises(ValueError, match=".png or .svg"):
        drawing.save(tmp_path / "package.bmp")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Pattern("fixd(3,2)"),
        lambda: Pattern("fixed(128,32").explain(10),
        lambda: Pattern("dense").explain(0),
        lambda: Pattern("dense").explain(8, heads=0),
        lambda: Pattern("dense").attends(-1, 0),
        lambda: Pattern("dense").count([2**40]),
        lambda: Pattern("dense").keys(-1),
        lambda: Pattern("dense").pairs(2**40),
        lambda: Pattern("dense").draw(10, pixels=10**6),
        lambda: Pattern("dense").for_head(-1),
    ],
)
def test_what_cannot_be_is_a_value_error_of_the_library(wrong):
    with pytest.raises(ValueError) as caught:
        wrong()
    assert isinstance(caught.value, longstride.InvalidArgument) and len(str(caught.value)) > 20


def test_positions_are_whole_numbers():
    with pytest.raises(TypeError, match="whole numbers"):
        Pattern("dense").attends(1.5, 0)
