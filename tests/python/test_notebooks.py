"""Every notebook runs from its first cell to its last, in a kernel of its own, and is kept with what it showed."""

import pytest
from conftest import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

HOME = ROOT / "python" / "notebooks"
NOTEBOOKS = {  # the kind of its figures and how many, the cell that says how long it learns, and what is said here
    "pattern": ("image/svg+xml", 3, None, None),
    "pictures": ("image/png", 7, "minutes = 2", "minutes = 0.1"),
    "text": ("image/png", 3, "minutes = 3", "minutes = 0.1"),
    "torch": ("image/png", 2, "seconds = 50", "seconds = 5"),
}
MOST_BYTES = 300_000


def figures(notebook, kind):
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum(kind in data for data in shown)


def test_every_notebook_is_known():
    assert sorted(path.stem for path in HOME.glob("*.ipynb")) == sorted(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name, tmp_path):
    if name == "torch":
        pytest.importorskip("torch")
    kind, count, usual, short = NOTEBOOKS[name]
    notebook = nbformat.read(HOME / f"{name}.ipynb", as_version=4)
    if usual is not None:
        (cell,) = [cell for cell in notebook.cells if cell.source == usual]
        cell.source = short
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert figures(notebook, kind) == count


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_with_what_it_showed(name):
    """Of one run from top to bottom, in which nothing failed and which names no place of the machine it ran on."""
    path = HOME / f"{name}.ipynb"
    assert path.stat().st_size < MOST_BYTES
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    kind, count, *_ = NOTEBOOKS[name]
    assert figures(notebook, kind) == count
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error" and output.get("name") != "stderr"
        assert "/tmp" not in str(output) and "/home" not in str(output) and "/work" not in str(output)


INTERRUPTED = """
import longstride
config = {"training.steps": 10**9, "model": {"context": 64, "width": 32, "layers": 1, "heads": 2}}
say_third = lambda step: print(step.step, flush=True) if step.step == 3 else None
longstride.train(config, "book.txt", out="run", progress=False, on_step=say_third)
"""


def answer_to(client, asked):
    while (message := client.get_shell_msg(timeout=120))["parent_header"]["msg_id"] != asked:
        pass
    return message["content"]


def test_a_notebook_s_interrupt_saves_the_run(corpus, tmp_path):
    from jupyter_client.manager import start_new_kernel

    (tmp_path / "book.txt").write_bytes(corpus.read_bytes())
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        asked = client.execute(INTERRUPTED)
        while client.get_iopub_msg(timeout=120)["content"].get("text") != "3\n":
            pass
        manager.interrupt_kernel()
        answer = answer_to(client, asked)
        assert (answer["status"], answer["ename"]) == ("error", "KeyboardInterrupt")
        asked = client.execute("assert longstride.info('run', 'latest').step >= 3")
        assert answer_to(client, asked)["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
