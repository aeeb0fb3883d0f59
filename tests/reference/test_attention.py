"""`longstride attention` against the shares of the independent network's own softmax."""
import numpy as np
import pytest
import torch
from configurations import CONFIGURATIONS
from network import Network
from program import last_checkpoint, run_json


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_probabilities_are_the_softmax_of_the_pass(name, runs, corpus, text):
    checkpoint = last_checkpoint(runs(name))
    network = Network(checkpoint)
    n, layers, heads = (network.model[key] for key in ("context", "layers", "heads"))
    shares = {}
    network.seen = lambda block, first, of_block: shares.update({block: of_block[0].numpy()})  # all queries at once
    network.logits(torch.tensor([list(text[:n])]))
    queries = [0, 1, n // 2, n - 1]
    told = run_json("attention", checkpoint, "--prime", corpus, "--layers", "all", "--top", n,
                    "--query", ",".join(map(str, queries)))  # fmt: skip
    assert told["tokens"] == n and len(told["rows"]) == layers * heads * len(queries)
    for row in told["rows"]:
        found = np.zeros(n)
        for key in row["top"]:
            found[key["key"]] = key["p"]
            assert key["token"] == (text[key["key"] - 1] if key["key"] > 0 else None)
        wanted = shares[row["layer"]][row["head"], row["query"]]
        assert ((found > 0) <= (wanted > 0)).all()  # outside the pattern exactly nothing
        assert np.abs(found - wanted).max() < 1e-5
        assert row["predicts"]["token"] == text[row["query"]]
