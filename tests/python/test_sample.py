"""Samples beside the program's: the same choices, the same bytes."""

import io
import wave

import numpy as np
import pytest
from conftest import program, program_json

import longstride


@pytest.fixture(scope="module")
def model(text_run):
    return longstride.load(text_run)


CHOICES = [
    {},
    {"temperature": 0},
    {"temperature": 0.7, "top_k": 20, "seed": 5},
    {"top_p": 0.9, "min_p": 0.01, "exact": True},
]


def words_of(choices):
    for name, value in choices.items():
        yield f"--{name.replace('_', '-')}"
        if value is not True:
            yield value


@pytest.mark.parametrize("choices", CHOICES)
def test_text_is_the_programs_text(text_run, model, choices):
    words = words_of({"temperature": 1, **choices})  # the program's own default depends on the kind of data
    said = program("sample", text_run, "--prompt", "def ", "--tokens", 150, "--quiet", *words)
    with model.sample_text("def ", tokens=150, **choices) as stream:
        pieces = list(stream)
    assert b"def " + b"".join(pieces) == said.removesuffix(b"\n")[:154]
    assert all(pieces) and len(b"".join(pieces)) == 150


def test_sample_gives_what_the_model_makes(model):
    assert model.sample(prompt="def ", tokens=20).read() == model.sample_text("def ", tokens=20).read()


def test_several_sequences_are_made_side_by_side(text_run, model, tmp_path):
    made = model.sample_tokens(["a", b"import "], tokens=30, count=3, seed=2)
    program(
        "sample",
        text_run,
        "--prompt",
        "a",
        "--prompt",
        "import ",
        "--count",
        3,
        "--tokens",
        30,
        "--seed",
        2,
        "--temperature",
        1,
        "--out",
        tmp_path / "many.txt",
        "--quiet",
    )
    expected = [path.read_bytes() for path in sorted(tmp_path.glob("many*"))]
    assert [tokens.tobytes() for tokens in made] == expected
    assert len(model.sample_tokens(["a", "b"], tokens=1)) == 2 and model.sample_tokens(tokens=0)[0].size == 0


def test_a_sample_ends_by_what_it_ends_with(text_run, model):
    """As `longstride sample --stop`; what ends it stays in it."""
    whole = model.sample_text("def ", tokens=150).read()
    stop = whole[40:43]
    first = whole.index(stop) + len(stop)
    for stops in ([stop], [b"never made", stop], stop):
        assert model.sample_text("def ", tokens=150, stops=stops).read() == whole[:first]
    (tokens,) = model.sample_tokens(["def "], tokens=150, stops=[stop, np.frombuffer(b"no", np.uint8)])
    assert tokens.tobytes() == b"def " + whole[:first]
    letter = next(letter for letter in whole.decode("latin-1") if letter.isascii() and letter.isalnum())
    words = ("--prompt", "def ", "--tokens", 150, "--temperature", 1, "--no-echo", "--quiet", "--stop", letter)
    assert model.sample_text("def ", tokens=150, stops=letter).read() == program("sample", text_run, *words)
    with pytest.raises(ValueError, match="at least one byte"):
        model.sample_text(stops=[b""]).read()
    with pytest.raises(TypeError, match="needs a list of prompts"):
        model.sample_tokens("def ")


def test_an_ended_stream_gives_nothing_more(model):
    stream = model.sample_text(tokens=3)
    assert len(stream.read()) == 3
    assert stream.read() == b"" and next(stream, None) is None
    stopped = model.sample_text(tokens=10**9)
    next(stopped)
    stopped.close()
    assert next(stopped, None) is None
    assert len(model.bits(b"abc")) == 3  # the model is free again


@pytest.mark.parametrize(
    "choices, kind",
    [
        ({"temperature": -1}, ValueError),
        ({"top_k": -1}, ValueError),
        ({"tokens": -1}, ValueError),
        ({"precision": "half"}, ValueError),
        ({"heat": 1}, TypeError),
        ({"prompt": [300]}, ValueError),
        ({"temperature": "0.5"}, TypeError),
        ({"top_k": 2.7}, TypeError),
        ({"seed": True}, TypeError),
        ({"exact": "no"}, TypeError),
        ({"precision": 32}, TypeError),
        ({"tokens": 1.5}, TypeError),
        ({"tokens": 2**63}, ValueError),
    ],
)
def test_choices_that_cannot_be_are_refused(model, choices, kind):
    with pytest.raises(kind):
        model.sample_text(**choices).read()


def test_pictures_are_the_programs_pictures(picture_run, pictures, tmp_path):
    import longstride.files

    model = longstride.load(picture_run)
    assert model.kind == "image"
    made = model.sample_pictures(2, seed=3)
    assert [picture.shape for picture in made] == [(8, 8, 3)] * 2 and made[0].dtype == np.uint8
    program("sample", picture_run, "--count", 2, "--seed", 3, "--out", tmp_path / "program.png", "--quiet")
    for at, picture in enumerate(made):
        longstride.files.write_png(str(tmp_path / f"package-{at}.png"), picture)
        (same,) = tmp_path.glob(f"program-*{at + 1}.png")
        assert (tmp_path / f"package-{at}.png").read_bytes() == same.read_bytes()
    np.testing.assert_array_equal(model.sample(seed=3), made[0])


def test_a_picture_is_completed_below_what_is_kept(picture_run, pictures):
    model = longstride.load(picture_run)
    original = np.load(pictures)[0]
    (completed,) = model.sample_pictures(prime=pictures, keep=0.5)
    np.testing.assert_array_equal(completed[:4], original[:4])
    np.testing.assert_array_equal(model.sample_pictures(prime=original, keep=0.5)[0], completed)
    said = program_json("evaluate", picture_run, "--data", pictures, "--quiet")
    assert model.evaluate(pictures).bits_per_byte == said["bits_per_byte"]
    assert model.attention(pictures).draw(panel=32).shape[2] == 3
    for wrong in (
        lambda: model.sample_pictures(prime=original, keep=1),
        lambda: model.sample_sounds(),
        lambda: model.sample_pictures(prime=original[:3]),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_sound_is_the_programs_sound(sound_run, recording, tmp_path):
    model = longstride.load(sound_run)
    (sound,) = model.sample_sounds(seconds=0.1, prime=recording, keep=0.25, seed=7)
    program(
        "sample",
        sound_run,
        "--prime",
        recording,
        "--keep",
        0.25,
        "--tokens",
        "0.1s",
        "--seed",
        7,
        "--temperature",
        1,
        "--out",
        tmp_path / "program.wav",
        "--quiet",
    )
    with wave.open(str(tmp_path / "program.wav")) as file:
        assert sound.rate == file.getframerate() == 4000
        np.testing.assert_array_equal(sound.samples, np.frombuffer(file.readframes(10**6), "<i2"))
    assert sound.samples.shape == (2400,) and sound.samples.dtype == np.int16
    with wave.open(io.BytesIO(sound.wav())) as file:
        assert file.getparams()[:4] == (1, 2, 4000, 2400)
    assert "<audio" in sound._repr_html_() and model.sample(seconds=0.01).samples.shape == (40,)
    with pytest.raises(ValueError):
        model.sample_sounds(seconds=-1)
