"""Greedy samples against the independent network: each token is the argmax of its logits."""
import pytest
from configurations import CONFIGURATIONS
from network import Network, next_logits
from program import last_checkpoint, run

TIE = 1e-4  # logits closer than float32 rounding may be ranked either way


def greedy(checkpoint, prompt, tokens, tmp_path):
    primer = tmp_path / "prompt"
    primer.write_bytes(prompt)
    made = run("sample", checkpoint, "--prime", primer, "--tokens", tokens, "--temperature", 0).stdout
    assert made.startswith(prompt)
    made = made[: len(prompt) + tokens]  # a newline may follow
    assert len(made) == len(prompt) + tokens
    return made


def assert_argmax(network, window, token):
    logits = next_logits(network, window)
    assert logits[token] >= logits.max() - TIE, (window, token, int(logits.argmax()))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_greedy_tokens_are_the_argmax_of_the_reference(name, runs, text, tmp_path):
    checkpoint = last_checkpoint(runs(name))
    network = Network(checkpoint)
    prompt = text[500:523]
    context = network.model["context"]
    made = greedy(checkpoint, prompt, context - len(prompt), tmp_path)
    for at in range(len(prompt), len(made)):
        assert_argmax(network, made[:at], made[at])


def test_beyond_the_context_the_window_moves_on_by_half(runs, text, tmp_path):
    checkpoint = last_checkpoint(runs("fixed"))
    network = Network(checkpoint)
    context = network.model["context"]
    prompt = text[900 : 900 + context - 3]
    made = greedy(checkpoint, prompt, 80, tmp_path)
    begin = 0
    for at in range(len(prompt), len(made)):
        if at - begin == context:
            begin += context // 2
        assert_argmax(network, made[begin:at], made[at])
    assert begin > 0


def test_the_same_seed_makes_the_same_sample(runs):
    checkpoint = last_checkpoint(runs("fixed"))
    options = ["sample", checkpoint, "--tokens", 60, "--top-k", 20, "--top-p", 0.9, "--temperature", 0.8]
    first = run(*options, "--seed", 3).stdout
    assert run(*options, "--seed", 3).stdout == first
    assert run(*options, "--seed", 4).stdout != first


def test_out_takes_the_bytes(runs, tmp_path):
    checkpoint = last_checkpoint(runs("fixed"))
    run("sample", checkpoint, "--prompt", "def ", "--tokens", 20, "--temperature", 0, "--out", tmp_path / "sample.txt")
    made = (tmp_path / "sample.txt").read_bytes()
    assert made.startswith(b"def ") and len(made) in (24, 25)
