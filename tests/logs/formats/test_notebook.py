import json
import time

import pytest

from overmem.errors import RunError
from overmem.logs.formats import notebook
from tests.helpers.written_logs import WRITTEN, truth

BOOK = WRITTEN / "notebook.ipynb"


def write(path, *outputs):
    cells = [{"cell_type": "code", "source": "", "outputs": list(outputs)}, {"cell_type": "markdown"}]
    path.write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
    return path


def table(header, *rows, label=""):
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    html = f"<div>{label}</div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return {"output_type": "display_data", "data": {"text/html": html}}


def at_six_digits(rows, key):
    return [(row["step"], round(row[key], 6)) for row in rows if key in row]


def test_tables_say_what_the_trainer_logged():
    by_epoch, by_step, without = notebook.read(BOOK)
    for history, name in ((by_epoch, "hf_notebook"), (by_step, "hf_steps")):
        logged = truth(name)
        for key in ("eval_loss", "eval_accuracy"):
            assert at_six_digits(history.rows, key) == at_six_digits(logged, key)
        assert set(at_six_digits(history.rows, "loss")) <= set(at_six_digits(logged, "loss"))
        assert history.max_steps == 18
    assert at_six_digits(without.rows, "loss") == at_six_digits(truth("hf_no_eval"), "loss")
    assert [round(row["epoch"], 4) for row in without.rows[:3]] == [0.3333, 0.6667, 1.0]
    assert "a step is the epoch times 6" in by_epoch.notes[0] and without.notes == ()
    assert [one.source for one in (by_epoch, without)] == [f"{BOOK}, cell 2", f"{BOOK}, cell 4"]


def test_several_eval_sets_and_what_was_not_logged(tmp_path):
    header = ["Step", "Training Loss", "Validation Loss", "Code Loss", "Rewards / chosen"]
    file = write(
        tmp_path / "a.ipynb", table(header, [10, "No log", 2.5, 3.5, 0.1], [20, 1.5, "nan", 3.0, 0.2])
    )
    (history,) = notebook.read(file)
    first, training, second = (dict(row) for row in history.rows)
    assert first == {"step": 10, "eval_loss": 2.5, "eval_code_loss": 3.5, "eval_rewards/chosen": 0.1}
    assert training == {"step": 20, "loss": 1.5}
    assert second["eval_loss"] != second["eval_loss"]


def test_metrics_of_training_alone_keep_their_names(tmp_path):
    file = write(
        tmp_path / "a.ipynb", table(["Step", "Training Loss", "rewards / chosen"], [1, "0.69", "0.5"])
    )
    assert dict(notebook.read(file)[0].rows[0]) == {"step": 1, "loss": 0.69, "rewards/chosen": 0.5}


def test_epochs_without_a_bar_are_counted_and_said(tmp_path):
    file = write(tmp_path / "a.ipynb", table(["Epoch", "Training Loss", "Validation Loss"], [1, 2.0, 2.5]))
    (history,) = notebook.read(file)
    assert [row["step"] for row in history.rows] == [1, 1] and "steps are epochs" in history.notes[0]


def test_printed_rows_are_read_where_there_is_no_table(tmp_path):
    printed = {
        "output_type": "stream",
        "name": "stdout",
        "text": ["{'loss': 2.5, 'epoch': 0.5}\n", "{'loss': 2, "],
    }
    printed["text"].append("'epoch': 1.0}\n")
    (history,) = notebook.read(write(tmp_path / "a.ipynb", printed))
    assert [row["loss"] for row in history.rows] == [2.5, 2] and history.kind == "notebook"


def test_tables_of_other_things_are_left_alone(tmp_path):
    file = write(tmp_path / "a.ipynb", table(["Step", "Value"], [1, 2]), table(["question"], ["a"]))
    with pytest.raises(RunError, match="holds no log of a training"):
        notebook.read(file)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"cells": 3}', '{"cells": [3, {"outputs": [1]}]}', "\0"]
)
def test_what_is_no_notebook_is_one_clear_error(tmp_path, text):
    file = tmp_path / "a.ipynb"
    file.write_text(text)
    assert notebook.recognizes(file)
    with pytest.raises(RunError):
        notebook.read(file)


def test_a_table_in_other_html_is_read_cell_by_cell():
    made = notebook.read_table(
        '<p>a &amp; b</p><table border="1"><tr><th>Step</th><th>Val &lt; 1</th></tr><tr><td> 1 </td>'
        "<td><b>2</b>.5</td></tr><tr><th>2</th><td></td></tr></table> after"
    )
    assert made.header == ["Step", "Val < 1"] and "a & b" in made.before
    assert made.body == [["1", "2.5"], ["2", ""]]


@pytest.mark.exhaustive
def test_a_table_of_200_000_evaluations_is_read_within_seconds(tmp_path):
    rows = [(s, "0.5", f"{1 + s % 97 / 1000:.3f}") for s in range(1, 200_001)]
    path = write(tmp_path / "run.ipynb", table(("Step", "Training Loss", "Validation Loss"), *rows))
    began = time.process_time()
    (history,) = notebook.read(path)
    assert time.process_time() - began < 5 and len(history.rows) == 400_000
