"""The cells of docs/tutorial.ipynb run in their order, on a shorter training, and print what is saved."""

import ast
import json

import pytest

from tests.helpers.paths import ROOT

NOTEBOOK = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
SHORTER = {'"wordmath:val[:120]"': '"wordmath:val[:48]"', '_epochs": 18': '_epochs": 6'}
"""The training of the notebook takes a minute; two checkpoints of it are enough for every cell."""
THE_SAME_EVERYWHERE = ("overmem.judge(", "page.name")
"""Cells whose output depends on no training."""


def source_of(cell):
    source = "".join(cell["source"])
    for written, shorter in SHORTER.items():
        source = source.replace(written, shorter)
    return source


def saved_output(cell):
    """What is saved with a cell, printed or shown as its value."""
    texts = [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]
    return "".join("".join(text) for text in texts).strip()


def run(source, names):
    """Run a cell as a notebook does: the value of a last expression is shown.

    Returns:
        That value as a text, or nothing.
    """
    body = ast.parse(source).body
    last = ast.Expression(body.pop().value) if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    value = None if last is None else eval(compile(last, "cell", "eval"), names)
    return "" if value is None else repr(value)


def test_every_cell_was_run_without_an_error():
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    assert all(output["output_type"] != "error" for cell in CELLS for output in cell["outputs"])


def test_the_training_of_the_notebook_is_the_one_that_is_shortened():
    written = "".join("".join(cell["source"]) for cell in CELLS)
    assert all(written.count(text) == 1 for text in SHORTER)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_cells_run_and_say_what_is_saved(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = {}
    compared = 0
    for cell in CELLS:
        shown = run(source_of(cell), names)
        said = f"{capsys.readouterr().out}{shown}".strip()
        assert bool(said) == bool(saved_output(cell)), source_of(cell)
        if any(part in source_of(cell) for part in THE_SAME_EVERYWHERE):
            assert said == saved_output(cell)
            compared += 1
    assert compared == len(THE_SAME_EVERYWHERE)
    assert [point.name for point in names["verdict"].checkpoints] == ["checkpoint-39", "checkpoint-78"]
    assert names["own"].stage == "over-memorized"
