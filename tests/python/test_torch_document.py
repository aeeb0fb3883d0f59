"""Every example of docs/torch.md works."""

import re
import shutil

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from conftest import ROOT, program, program_json


def test_the_page_does_what_it_says(corpus, tmp_path, monkeypatch):
    shutil.copy(corpus, tmp_path / "book.txt")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    page = (ROOT / "docs" / "torch.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) == page.count("```python") == 6
    names = {}
    for block in blocks:
        exec(compile(block, "docs/torch.md", "exec"), names)
    assert names["q"].grad.abs().sum() > 0
    assert names["loss"].item() < 5.5  # of ln 256 = 5.545
    assert names["weights"].keys() == names["model"].state_dict().keys()
    assert program_json("info", "trained")["step"] == names["model"].step == 20
    assert program_json("evaluate", "trained", "--data", "book.txt", "--bytes", 2048)["bits_per_byte"] < 8
    assert program_json("info", "runs/ours")["step"] == 20
    assert len(program("sample", "trained", "--tokens", 10)) >= 10
