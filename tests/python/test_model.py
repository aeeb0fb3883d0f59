"""A held model beside the program: logits, scores, evaluations, views, decoders."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
from conftest import program, program_json

import longstride

TEXT = b"def fork(self):\n    return"


@pytest.fixture(scope="module")
def model(text_run):
    return longstride.load(text_run)


def bits_of(logits, tokens):
    logits = logits.astype(np.float64)
    log_p = (
        logits
        - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        - logits.max(1, keepdims=True)
    )
    return -log_p[np.arange(len(tokens)), tokens] / np.log(2)


def test_logits_and_bits_are_two_views_of_one_network(model):
    logits = model.logits(TEXT)
    assert logits.shape == (len(TEXT) + 1, 256) and logits.dtype == np.float32
    expected = bits_of(logits[:-1], np.frombuffer(TEXT, np.uint8))
    # Float32 sums of 32 channels: 1e-5 of bits near 8.
    np.testing.assert_allclose(model.bits(TEXT), expected, rtol=2e-5)
    np.testing.assert_allclose(model.next_logits(TEXT), logits[-1], rtol=1e-4, atol=1e-5)
    assert model.logits(b"").shape == (1, 256)


def test_tokens_may_be_bytes_text_or_numbers(model):
    expected = model.bits(TEXT)
    for tokens in (
        TEXT.decode(),
        bytearray(TEXT),
        memoryview(b"".join(bytes([byte, 0]) for byte in TEXT))[::2],
        list(TEXT),
        np.array(list(TEXT), np.int64),
        np.array(list(TEXT * 2))[: len(TEXT)],
    ):
        np.testing.assert_array_equal(model.bits(tokens), expected)
    np.testing.assert_array_equal(model.bits("é"), model.bits("é".encode()))
    np.testing.assert_array_equal(model.bits(np.arange(40)[::-2]), model.bits(np.arange(39, -1, -2)))


@pytest.mark.parametrize(
    "tokens, kind",
    [([1.5], TypeError), ([256], ValueError), ([2**40], ValueError), ([-1], ValueError), ([[1]], ValueError)],
)
def test_what_are_no_tokens_is_refused(model, tokens, kind):
    with pytest.raises(kind):
        model.logits(tokens)
    with pytest.raises(kind):
        model.score(tokens)


@pytest.mark.parametrize("options", [{}, {"split": "test"}, {"min_context": 40, "offset": 100, "bytes": 3000}])
def test_evaluate_gives_the_programs_figures(text_run, model, corpus, options):
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    said = program_json("evaluate", text_run, "--data", corpus, "--quiet", *words)
    found = dataclasses.asdict(model.evaluate(corpus, **options))
    for name in ("seconds", "origin"):
        found.pop(name), said.pop(name)
    assert found.pop("per_byte") is None
    said.pop("processor")
    assert found == said


def test_evaluate_tells_what_each_byte_cost(text_run, model, corpus):
    """As the lines of `longstride evaluate --per-byte`."""
    words = ("--offset", 50, "--bytes", 300, "--min-context", 20, "--quiet", "--per-byte", "--expected", 2)
    lines = [json.loads(line) for line in program("evaluate", text_run, "--data", corpus, *words).splitlines()][:-1]
    found = model.evaluate(corpus, offset=50, bytes=300, min_context=20, per_byte=True, expected=2)
    told = found.per_byte
    assert told.at.tolist() == [line["at"] for line in lines] and len(lines) == 300
    assert bytes(told.byte.astype(np.uint8)) == corpus.read_bytes()[50:350]
    assert told.bits.tolist() == [line["bits"] for line in lines]
    assert told.expected.tolist() == [[one["byte"] for one in line["expected"]] for line in lines]
    assert told.probability.tolist() == [[one["probability"] for one in line["expected"]] for line in lines]
    assert told.bits.sum() == pytest.approx(found.bits_per_byte * found.tokens_scored)
    assert model.evaluate(corpus, bytes=9, per_byte=True, expected=0).per_byte.expected.shape == (9, 0)
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(ValueError, match="at least 0"):
        model.evaluate(corpus, per_byte=True, expected=-1)


def test_scores_are_those_of_evaluate(model, corpus):
    score = model.score(corpus.read_bytes()[:2000], min_context=30)
    evaluation = model.evaluate(corpus, bytes=2000, min_context=30, precision="float32")
    assert score.bits.shape == (2000,) and score.windows == evaluation.windows
    assert score.bits_per_token == pytest.approx(evaluation.bits_per_byte, rel=1e-12)
    assert score.bits.mean() == pytest.approx(score.bits_per_token, rel=1e-6)


def test_info_and_what_a_model_says_of_itself(text_run, model):
    said = program_json("info", text_run)
    info = longstride.info(text_run)
    assert (info.config, info.step, info.parameters) == (said["config"], said["step"], said["parameters"])
    assert {name: list(shape) for name, shape in info.tensors.items()} == said["tensors"]
    assert (model.config, model.step, model.parameters) == (info.config, info.step, info.parameters)
    assert model.path == info.path and model.kind == "text" and model.precision == "float32" and model.device == "cpu"
    assert longstride.load(text_run, info.step).path == longstride.load(info.path).path


@pytest.mark.parametrize("ask", [longstride.load, longstride.info])
def test_what_is_no_path_is_a_type_error(ask):
    for path in (3, None):
        with pytest.raises(TypeError, match="expected str, bytes or os.PathLike object"):
            ask(path)


def test_a_decoder_follows_the_whole_pass(model):
    decoder = model.decoder(sequences=3)
    logits = model.logits(TEXT)
    a, b = decoder.join(), decoder.join()
    np.testing.assert_allclose(a.read(TEXT[:10]), logits[10], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(b.read(), logits[0], rtol=1e-4, atol=1e-5)
    both = decoder.step([a, b], [TEXT[10], TEXT[0]])
    np.testing.assert_allclose(both, logits[[11, 1]], rtol=1e-4, atol=1e-5)
    c = b.fork()
    assert (a.tokens_read, b.tokens_read, c.tokens_read) == (11, 1, 1)
    np.testing.assert_array_equal(c.read(TEXT[1:3]), b.read(TEXT[1:3]))
    with pytest.raises(ValueError, match="no room"):
        decoder.join()
    c.leave()
    del b
    d, e = decoder.join(), decoder.join()
    with pytest.raises(ValueError):
        decoder.step([d, d], [1, 2])
    with pytest.raises(ValueError):
        decoder.step([d, e], [1])
    with pytest.raises(ValueError, match="left"):
        c.read(b"x")
    with pytest.raises(ValueError):
        decoder.step([], [])


def test_a_view_shows_probabilities_of_the_keys_that_a_pattern_reads(text_run, model, tmp_path):
    view = model.attention(TEXT)
    (row,) = view.rows(1, 2, 20)
    assert (row.layer, row.head, row.query) == (1, 2, 20)
    np.testing.assert_array_equal(row.keys, view.pattern(1, 2).keys(20))
    matrix = view.matrix(1, 2)
    assert matrix.shape == (len(TEXT), len(TEXT)) and not np.triu(matrix, 1).any()
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(matrix[20, row.keys], row.p)
    (tmp_path / "input.txt").write_bytes(TEXT)
    said = program_json(
        "attention", text_run, "--prime", tmp_path / "input.txt", "--layers", 1, "--heads", 2, "--query", 20
    )
    best = said["rows"][0]["top"][0]
    assert row.keys[row.p.argmax()] == best["key"] and row.p.max() == pytest.approx(best["p"])
    np.testing.assert_array_equal(model.attention(tmp_path / "input.txt").matrix(1, 2), matrix)
    assert len(view.rows()) == 2 * 4 * len(TEXT) and view.draw(heads=[0, 1], panel=64).ndim == 3
    for wrong in (
        lambda: view.rows(2),
        lambda: view.rows(0, 0, len(TEXT)),
        lambda: model.attention(b""),
        lambda: model.attention(bytes(97)),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_bfloat16_is_another_rounding_of_the_same_model(text_run, model):
    rounded = longstride.load(text_run, precision="bfloat16")
    assert rounded.precision == "bfloat16"
    # 8 bits of mantissa in each of some products that are added.
    np.testing.assert_allclose(rounded.bits(TEXT), model.bits(TEXT), rtol=0.05)
    assert not np.array_equal(rounded.bits(TEXT), model.bits(TEXT))


def test_data_are_described_as_the_program_describes_them(corpus, tmp_path):
    told = program_json("info", "--data", corpus)
    described = longstride.describe_data(corpus)
    for key in ("kind", "data", "bytes", "train_bytes", "valid_bytes", "test_bytes", "order0_bits"):
        assert getattr(described, key) == told[key], key
    assert described.window.tobytes() == corpus.read_bytes()[: len(described.window)] and len(described.window) > 0
    np.save(tmp_path / "few.npy", np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3))
    few = longstride.describe_data(tmp_path / "few.npy", {"data.image_size": [4, 5]})
    assert few.kind == "image" and few.valid_bytes == 0 and few.window.shape == (4, 5, 3)
    np.testing.assert_array_equal(few.window, np.load(tmp_path / "few.npy")[0])
    assert any(note.startswith("nothing is left for validation: 0.05 of 3 pictures") for note in few.notes)
    with pytest.raises(FileNotFoundError):
        longstride.describe_data(tmp_path / "none")
