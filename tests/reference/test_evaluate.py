"""`longstride evaluate` against the independent network on the same checkpoint and the same bytes."""
import hashlib

import pytest
import torch
from configurations import CONFIGURATIONS
from network import Network, bits_per_byte, windows
from program import last_checkpoint, run_json, train

FLOAT32, BFLOAT16 = 1e-4, 2e-3  # bits per byte


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    """The program's own sources: bytes that no run was trained on."""
    path = tmp_path_factory.mktemp("unseen") / "reference.txt"
    with open(__file__, "rb") as source:
        path.write_bytes((source.read() * 3)[:5003])
    return path


def test_windows_score_every_token_once_with_its_context():
    for size, n, m in [(1, 8, 0), (8, 8, 3), (29, 8, 3), (30, 8, 7), (7, 8, 7)]:
        spans = list(windows(size, n, m))
        assert [token for begin, end, scored in spans for token in range(scored, end)] == list(range(size))
        assert all(scored - begin >= m for begin, end, scored in spans[1:])


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("min_context", [0, 37])
def test_float32_bits_equal_the_reference(name, min_context, runs, unseen):
    checkpoint = last_checkpoint(runs(name))
    told = run_json("evaluate", checkpoint, "--data", unseen, "--min-context", min_context, "--precision", "float32")
    data = unseen.read_bytes()
    network = Network(checkpoint)
    assert told["bits_per_byte"] == pytest.approx(bits_per_byte(network, data, min_context), abs=FLOAT32)
    assert told["bits_per_byte"] < 6.5  # it has learned something, so the comparison says something
    assert told["tokens_scored"] == len(data)
    assert told["context"] == network.model["context"] and told["min_context"] == min_context
    assert told["data_sha256"] == hashlib.sha256(data).hexdigest()
    assert told["checkpoint_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert told["step"] == 40 and told["precision"] == "float32" and told["standard_error"] > 0


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_bfloat16_bits_equal_the_reference_in_either_format(name, runs, unseen):
    checkpoint = last_checkpoint(runs(name))
    told = run_json("evaluate", checkpoint, "--data", unseen, "--precision", "bfloat16")
    for dtype in (torch.float32, torch.bfloat16):
        expected = bits_per_byte(Network(checkpoint, dtype), unseen.read_bytes())
        assert told["bits_per_byte"] == pytest.approx(expected, abs=BFLOAT16), dtype
    assert told["precision"] == "bfloat16"


@pytest.mark.parametrize("size", [1, 2, 50, 100, 101, 102])
def test_files_around_a_context_are_scored(size, runs, text, tmp_path):
    checkpoint = last_checkpoint(runs("fixed"))  # context 101
    path = tmp_path / "short.txt"
    path.write_bytes(text[1000 : 1000 + size])
    told = run_json("evaluate", checkpoint, "--data", path, "--precision", "float32")
    expected = bits_per_byte(Network(checkpoint), path.read_bytes())
    assert told["tokens_scored"] == size
    assert told["bits_per_byte"] == pytest.approx(expected, abs=FLOAT32)


def test_offset_and_bytes_choose_a_part(runs, unseen):
    checkpoint = last_checkpoint(runs("strided"))
    told = run_json("evaluate", checkpoint, "--data", unseen, "--offset", 333, "--bytes", 1001, "--precision", "float32")
    data = unseen.read_bytes()[333:1334]
    assert told["tokens_scored"] == 1001 and told["offset"] == 333
    assert told["data_sha256"] == hashlib.sha256(data).hexdigest()
    assert told["bits_per_byte"] == pytest.approx(bits_per_byte(Network(checkpoint), data), abs=FLOAT32)


def test_a_split_is_the_last_bytes_of_the_data(runs, corpus, text):
    checkpoint = last_checkpoint(runs("dense"))
    told = run_json("evaluate", checkpoint, "--data", corpus, "--split", "test", "--precision", "float32")
    begin = round((0.9 + 0.05) * len(text))
    assert told["tokens_scored"] == len(text) - begin
    assert told["data_sha256"] == hashlib.sha256(text[begin:]).hexdigest()


def test_the_first_loss_is_exactly_8_bits(corpus, unseen, tmp_path):
    for initialisation in ("variance", "paper"):
        checkpoint = train(tmp_path / initialisation, corpus, 0, model__initialisation=initialisation)
        for precision in ("float32", "bfloat16"):
            told = run_json("evaluate", checkpoint, "--data", unseen, "--precision", precision)
            assert told["bits_per_byte"] == 8.0 and told["step"] == 0
        assert bits_per_byte(Network(checkpoint), unseen.read_bytes()) == pytest.approx(8, abs=1e-6)
