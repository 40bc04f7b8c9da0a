"""The cells of docs/tutorial.ipynb run in their order, and say what is saved in the notebook."""

import ast
import json

import pytest

from tests.helpers.paths import ROOT

NOTEBOOK = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
THE_SAME_EVERYWHERE = ("overmem.train(recipe)", "overmem.judge(", "page.name")
"""Cells whose output depends on no training; the figures of a training differ from machine to machine."""


def source_of(cell):
    return "".join(cell["source"])


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
    stages = {name for point in names["verdict"].checkpoints[2:] for name in (point.stage, point.leaning)}
    assert stages & {"over-memorized", "overfit"}
    assert names["own"].stage == "over-memorized"
