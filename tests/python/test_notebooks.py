"""Every notebook runs from its first cell to its last, in a kernel of its own."""

import json
import re

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "python" / "notebooks").glob("*.ipynb"))


def outputs(notebook, kind):
    return [
        output["data"][kind]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if kind in output.get("data", {})
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:  # of the three minutes of training some seconds
        cell.source = re.sub(r"^minutes = 3$", "minutes = 0.1", cell.source, flags=re.M)
    client.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    figures = {"pattern": ("image/svg+xml", 3), "text": ("image/png", 3)}
    kind, count = figures[path.stem]
    assert len(outputs(notebook, kind)) == count


def test_notebooks_are_kept_without_results():
    assert len(NOTEBOOKS) == 2
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text())["cells"]:
            assert not cell.get("outputs") and cell.get("execution_count") is None
