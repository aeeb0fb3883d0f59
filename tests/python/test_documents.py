"""What is shown works: the examples of README.md, docs/python.md and python/examples, and their types."""

import ast
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap

import pytest
from conftest import ROOT

import longstride

EXAMPLES = sorted((ROOT / "python" / "examples").glob("*.py"))


@pytest.fixture
def folder(corpus, pictures, tmp_path, monkeypatch):
    """A working folder that holds book.txt and pictures.npy."""
    shutil.copy(corpus, tmp_path / "book.txt")
    shutil.copy(pictures, tmp_path / "pictures.npy")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_s_example_runs(folder, capsys):
    (block,) = re.findall(r"^(    import longstride\n(?:    .+\n)+)", (ROOT / "README.md").read_text(), re.M)
    code = textwrap.dedent(block)
    assert code.count('"text-small"') == 1
    code = code.replace('"text-small"', '["text-small", {"training.minutes": 0.05}]')  # of its three minutes
    exec(compile(code, "README.md", "exec"), {})
    made = b"".join(map(ast.literal_eval, capsys.readouterr().out.splitlines()))
    assert len(made) == 256 and (folder / "runs" / "first" / "best").exists()


def test_the_page_does_what_it_says(folder, capsys):
    page = (ROOT / "docs" / "python.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) == page.count("```python") > 5
    names = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert names["logits"].shape == (11, 256) and names["after"].shape == (2, 256)
    assert names["completed"].shape == (32, 32, 3) and names["row"].query == 12
    assert names["matrix"].shape == (19, 19) and len(names["several"]) == 2
    assert longstride.info("runs/second", "latest").step == 30 and names["told"].expected.shape == (2000, 3)
    assert names["line"].endswith(b"\n") or len(names["line"]) == 256


def test_the_page_names_every_error():
    page = (ROOT / "docs" / "python.md").read_text()
    for name in dir(longstride):
        if isinstance(getattr(longstride, name), type) and issubclass(getattr(longstride, name), longstride.Error):
            assert f"`{name}`" in page or f"longstride.{name}`" in page


def example(name, *arguments):
    done = subprocess.run(
        [sys.executable, ROOT / "python" / "examples" / name, *map(str, arguments)], capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_the_examples_run(folder):
    said = example("text.py", "book.txt", folder / "run", 20)
    assert "after 20" in said and "never saw" in said and "The " not in said.splitlines()[0]
    lines = example("choose.py", folder / "run", "def ", "f(self):", "QZ#~@|^J").splitlines()
    assert len(lines) == 2 and lines[0].endswith("def f(self):")
    assert "everything in 2 layers" in example("pattern.py", 1024, "strided(32)", "window(8)")


def test_examples_and_package_are_typed():
    pytest.importorskip("mypy")
    place = pathlib.Path(longstride.__file__).parent
    assert (place / "py.typed").is_file() and (place / "_core.pyi").is_file()
    environment = {**os.environ, "MYPYPATH": str(place.parent)} if "site-packages" not in place.parts else None
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={os.devnull}", *map(str, EXAMPLES)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=place.parent.parent)
    assert done.returncode == 0, done.stdout
    wrong = "import longstride\nlongstride.load(5)\nlongstride.Pattern('dense').count('x').foo\n"
    done = subprocess.run([*command[:5], "-c", wrong], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "[arg-type]" in done.stdout


def test_the_stub_says_what_the_module_has():
    core = longstride._core
    tree = ast.parse((pathlib.Path(core.__file__).parent / "_core.pyi").read_text())
    said = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert said == {name for name in vars(core) if not name.startswith("__")}


def test_everything_public_says_what_it_is_for():
    assert importlib.util.find_spec("longstride").origin == longstride.__file__
    for name in longstride.__all__:
        thing = getattr(longstride, name)
        assert thing.__doc__, name
        for member, value in vars(thing).items() if isinstance(thing, type) else ():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                if member not in ("step", "parameters", "device", "length", "tokens_read"):  # their names say it
                    assert value.__doc__, f"{name}.{member}"
