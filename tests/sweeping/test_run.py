"""A sweep of pico models: whole, killed and resumed, on two workers, with one killed or a cell that fails.

Covers: overmem.cli.commands.sweep, overmem.sweeping.confirm, overmem.sweeping.executor,
overmem.sweeping.gather, overmem.sweeping.plan, overmem.sweeping.record, overmem.sweeping.work
"""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock
from typer.testing import CliRunner

import overmem
from overmem.artifacts.store import Store
from overmem.cli.app import app
from overmem.errors import OvermemError, RunError
from overmem.sweeping.executor import Worker
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.slow

ALONE = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
GRID = {"training.learning_rate": [1e-2, "3e-2"], "seed": [0, 1]}
TRAINING = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 4,
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A pico base, 36 problems, and a recipe of two epochs."""
    from transformers import AutoTokenizer

    from overmem.recipe.base_model import ORGANISM

    folder = tmp_path_factory.mktemp("sweep")
    tokenizer = AutoTokenizer.from_pretrained(ORGANISM)
    save_checkpoint(folder / "base", make_pico(tokenizer, seed=0), tokenizer, 0)
    rows = [
        row | {"id": f"{turn}/{row['id']}", "prompt": f"{turn}/{row['id']} {row['prompt']}"}
        for turn in range(3)
        for row in VAL_ROWS
    ]
    for name, prompt in (("val", ""), ("confirm", "Once. ")):
        lines = [json.dumps(row | {"prompt": prompt + row["prompt"]}) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    recipe = {
        "model": {"name": str(folder / "base")},
        "data": {"train": str(folder / "val.jsonl[:12]"), "val": str(folder / "val.jsonl")},
        "output": "unused",
        "monitor": False,
        "training": TRAINING,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def written(home, output, **changes):
    asked = {
        "recipe": str(home / "recipe.yaml"),
        "output": str(output),
        "grid": GRID,
        "audit": {
            "axes": "likelihood,accuracy",
            "max_new_tokens": 4,
            "grader": "python:tests.helpers.sweeps:grade",
        },
        "rule": {"resamples": 100},
    }
    return asked | changes


@pytest.fixture(scope="module")
def whole(home):
    """Two learning rates x two seeds, done without a break."""
    torch.set_num_threads(1)
    return overmem.sweep(written(home, home / "whole"))


def rows_of(output, cell):
    store, found = Store(Path(output) / cell / "overmem"), {}
    for checkpoint in ("checkpoint-3", "checkpoint-6"):
        for rows in ("likelihood", "generations"):
            found[checkpoint, rows] = store.read_rows(checkpoint, rows)
            assert len(found[checkpoint, rows]) > 0
    return found


def assert_same_rows(one, other, cells):
    for cell in cells:
        expected, got = rows_of(one, cell), rows_of(other, cell)
        for place in expected:
            assert got[place].drop("row_key").equals(expected[place].drop("row_key")), (cell, place)


NAMES = [f"learning_rate={rate}+seed={seed}" for rate in ("0.01", "0.03") for seed in (0, 1)]


def test_every_cell_is_an_ordinary_run_and_seeds_are_one_configuration(whole, home):
    assert [cell.name for cell in whole.cells] == NAMES
    assert {cell.status for cell in whole.cells} == {"done"} and not whole.failed
    [family] = whole.families
    assert [group.cells for group in family.groups] == [tuple(NAMES[:2]), tuple(NAMES[2:])]
    assert [(p.group, p.epoch) for p in family.points] == [
        (f"learning_rate={rate}", epoch) for rate in ("0.01", "0.03") for epoch in (1.0, 2.0)
    ]
    # The mean over seeds, by hand from the rows.
    point = family.points[0]
    rows = [rows_of(home / "whole", name)["checkpoint-3", "likelihood"] for name in NAMES[:2]]
    vals = [table.filter(table["split"] == "val") for table in rows]
    by_hand = sum(table["nll_nats"].sum() for table in vals) / sum(table["n_tokens"].sum() for table in vals)
    assert point.nll_nats.value == pytest.approx(by_hand, rel=1e-9)
    assert point.perplexity.value == pytest.approx(math.exp(by_hand), rel=1e-9)
    for name in NAMES:
        assert (home / "whole" / name / "overmem" / "report.html").is_file()
        # What only training on would need is gone.
        assert not list((home / "whole" / name).glob("checkpoint-*/optimizer*"))
    record = json.loads((home / "whole" / "sweep.json").read_text())
    assert record == whole.to_dict()


@pytest.mark.parametrize("moved", [False, True])
def test_a_finished_sweep_does_nothing_again(whole, home, tmp_path, monkeypatch, moved):
    from overmem.sweeping import work

    def never(*_, **__):
        raise AssertionError("a cell was done again")

    monkeypatch.setattr(work, "train", never)
    monkeypatch.setattr(work, "measure", never)
    output = home / "whole"
    if moved:
        output = shutil.copytree(output, tmp_path / "elsewhere")
    again = overmem.sweep(written(home, output))
    assert again.families == whole.families and not again.failed
    assert moved or again == whole


def test_a_sweep_says_where_accuracy_is_within_the_margin_of_no_skill(whole, home, tmp_path):
    assert not any("stages say little" in note for note in whole.notes)
    wide = {"rule": {"resamples": 100, "accuracy_margin": 0.99}, "grid": {"seed": [0]}}
    [note] = overmem.sweep(written(home, tmp_path / "out", **wide)).notes
    assert "99 points of zero, where stages say little: recipe" in note


def test_a_cell_that_was_stopped_early_is_not_trained_again(home, tmp_path, monkeypatch):
    from overmem.sweeping import work

    torch.set_num_threads(1)
    done = overmem.sweep(written(home, tmp_path / "out", grid={"seed": [0]}))
    cell = tmp_path / "out" / done.cells[0].name
    for state in cell.glob("checkpoint-*/trainer_state.json"):
        # As where the monitor ends a run before its last step.
        state.write_text(json.dumps(json.loads(state.read_text()) | {"max_steps": 600}))

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(work, "train", never)
    failing = written(home, tmp_path / "out", grid={"seed": [0]})
    failing["audit"] |= {"grader": "python:tests.helpers.sweeps:no_such"}
    [failed] = overmem.sweep(failing).cells
    assert failed.status == "failed" and "trained again" not in failed.error
    changed = written(home, tmp_path / "out", grid={"seed": [0]})
    changed["audit"] |= {"limit": 30}
    [again] = overmem.sweep(changed).cells
    assert (again.status, again.train_seconds) == ("done", done.cells[0].train_seconds)
    assert len(list(cell.glob("checkpoint-*"))) == 2
    # Nor does the record stand for checkpoints that are gone, also while they are made again.
    for folder in cell.glob("checkpoint-*"):
        shutil.rmtree(folder)
    [failed] = overmem.sweep(changed | {"rule": {"resamples": 101}}).cells
    assert failed.status == "failed" and "trained again" in failed.error
    assert "trained" not in json.loads((cell / "overmem" / "cell.json").read_text())


def test_two_sweeps_do_not_work_in_one_folder(home, tmp_path):
    (tmp_path / "out").mkdir()
    held = FileLock(tmp_path / "out" / ".lock")
    with held, pytest.raises(RunError, match="another `overmem sweep` is running"):
        overmem.sweep(written(home, tmp_path / "out"))
    assert [item.name for item in (tmp_path / "out").iterdir()] == [".lock"]


def test_the_recommended_point_is_measured_on_problems_that_chose_nothing(whole, home):
    source = str(home / "confirm.jsonl")
    with pytest.raises(OvermemError, match=r"cell learning_rate=0.01\+seed=0[\s\S]*36 of 36"):
        overmem.sweep(written(home, home / "whole"), confirm=str(home / "val.jsonl"))
    found = overmem.sweep(written(home, home / "whole"), confirm=source)
    [family] = found.families
    point = family.point(family.recommended.label)
    assert set(family.confirmed_figures) == {point.label, *family.alternatives.values()}

    def rows(label):
        at = family.point(label)
        cells = next(group.cells for group in family.groups if group.name == at.group)
        stores = [Store(home / "whole" / name / "overmem" / "confirm") for name in cells]
        return [store.read_rows(at.checkpoint, "generations")["correct"].mean() for store in stores]

    for label, figures in family.confirmed_figures.items():
        assert (
            figures["accuracy"].value == pytest.approx(sum(rows(label)) / 2) and figures["accuracy"].n == 36
        )
    others = {cost.against: cost.difference for cost in family.confirmed if cost.axis == "accuracy"}
    assert set(others) == set(family.confirmed_figures) - {point.label}
    for label, difference in others.items():
        by_hand = sum(rows(point.label)) / 2 - sum(rows(label)) / 2
        assert difference.value == pytest.approx(by_hand) and difference.n == 36
    said = " ".join(found.words)
    assert f"Measured again on problems that chose nothing ({source})" in said
    assert ("On 36 problems that chose nothing (" in said) == bool(others)
    assert f"Train with {point.group}" in said
    page = (home / "whole" / "report.html").read_text()
    assert "Accuracy, confirmed" in page and point.label in page


def write_yaml(folder, asked):
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(asked))
    return path


def run_command(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "overmem", "sweep", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ALONE,
    )  # fmt: skip


@pytest.mark.exhaustive
def test_killed_midway_and_resumed_gives_the_same_rows(whole, home, tmp_path):
    cells = NAMES[:2]
    asked = written(home, tmp_path / "out", grid={"training.learning_rate": [1e-2], "seed": [0, 1]})
    running = run_command(write_yaml(tmp_path, asked))
    verdicts = [tmp_path / "out" / name / "overmem" / "verdict.json" for name in cells]
    saved = tmp_path / "out" / cells[1] / "checkpoint-3" / "trainer_state.json"
    deadline = time.monotonic() + 250
    # The first cell is done, and the second has one of its two checkpoints.
    while not saved.is_file() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    said = running.communicate()
    assert saved.is_file(), said
    assert verdicts[0].is_file() and not verdicts[1].exists()
    before = verdicts[0].stat().st_mtime_ns
    torch.set_num_threads(1)
    ended = []
    found = overmem.sweep(asked, on_cell=lambda state, *place: ended.append((state.name, *place)))
    assert not found.failed and ended == [(cells[1], 2, 2)]
    assert verdicts[0].stat().st_mtime_ns == before
    assert_same_rows(home / "whole", tmp_path / "out", cells)


@pytest.mark.exhaustive
def test_two_workers_give_the_same_rows(whole, home, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    running = run_command(write_yaml(tmp_path, written(home, tmp_path / "out")), "--workers", 2, "--json")
    said, problems = running.communicate(timeout=280)
    assert running.returncode == 0, problems[-3000:]
    assert [cell["status"] for cell in json.loads(said)["cells"]] == ["done"] * 4
    assert_same_rows(home / "whole", tmp_path / "out", NAMES)
    assert not list((tmp_path / "out").glob(".mark-*"))


class Mortal(Worker):
    """A worker that is killed in the midst of a cell's training, once; what was saved by then is listed."""

    def open(self, errand, board):
        why_not, tell = super().open(errand, board), self.progress
        died = self.root.parent / "died.txt"

        def progress(cell, work, done, total):
            tell(cell, work, done, total)
            if cell.endswith("seed=0") and (work, done) == ("training step", 4) and not died.exists():
                died.write_text("\n".join(path.name for path in (self.root / cell).glob("*")))
                os.kill(os.getpid(), signal.SIGKILL)

        self.progress = progress
        return why_not


MORTAL = """
import sys, overmem
from overmem.sweeping import executor
from tests.sweeping.test_run import Mortal

executor.Worker = Mortal
overmem.sweep(sys.argv[1], workers=2)
"""


@pytest.mark.exhaustive
def test_a_worker_killed_while_it_trains_changes_no_row(whole, home, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    asked = written(home, tmp_path / "out", grid={"training.learning_rate": [1e-2], "seed": [0, 1]})
    done = subprocess.run(
        [sys.executable, "-c", MORTAL, str(write_yaml(tmp_path, asked))],
        capture_output=True, text=True, timeout=280, env=ALONE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    # It had one of its two checkpoints, from which another worker went on.
    saved = (tmp_path / "died.txt").read_text().split()
    assert "checkpoint-3" in saved and "checkpoint-6" not in saved
    cells = json.loads((tmp_path / "out" / "sweep.json").read_text())["cells"]
    assert [cell["status"] for cell in cells] == ["done"] * 2
    assert [cell["train_seconds"] is None for cell in cells] == [True, False]
    assert_same_rows(home / "whole", tmp_path / "out", NAMES[:2])


def test_a_failing_cell_stops_no_other_and_is_tried_again(home, tmp_path):
    torch.set_num_threads(1)
    cells = [{"training.learning_rate": 1e-2}, {"training.learning_rate": 1e30}]
    path = write_yaml(tmp_path, written(home, tmp_path / "out", grid={}, cells=cells))
    for cell in ("cell 1/2", "cell 2/2"), ("cell 2/2",):
        done = CliRunner().invoke(app, ["sweep", str(path)])
        assert done.exit_code == 1, done.output
        # The second time, only the cell that failed is tried.
        assert all(said in done.output for said in cell) and ("cell 1/2" in done.output) == (len(cell) == 2)
        assert "report:" in done.output and "learning_rate=1e+30" in done.output
    record = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert [cell["status"] for cell in record["cells"]] == ["done", "failed"]
    assert "NaN" in record["cells"][1]["error"]


def test_the_plan_leaves_nothing_behind(home, tmp_path):
    torch.set_num_threads(1)
    best = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    changes = {f"training.{key}": value for key, value in best.items()}
    path = write_yaml(tmp_path, written(home, tmp_path / "out", set=changes))
    done = CliRunner().invoke(app, ["sweep", str(path), "--plan"])
    assert done.exit_code == 0, done.output
    assert "4 of 4 cells to do, about" in done.output and not (tmp_path / "out").exists()
    # 12 problems in batches of 4, for 2 epochs, a checkpoint each.
    assert re.search(r"learning_rate=0.01\+seed=0 +12 +6 +2 ", done.output), done.output


def test_the_plan_of_packed_examples_is_an_upper_bound(home, tmp_path):
    torch.set_num_threads(1)
    packed = {"training.packing": True, "training.max_length": 256}
    path = write_yaml(tmp_path, written(home, tmp_path / "out", set=packed))
    done = CliRunner().invoke(app, ["sweep", str(path), "--plan"])
    assert done.exit_code == 0, done.output
    assert re.search(r"learning_rate=0.01\+seed=0 +12 +≤6 +≤2 ", done.output), done.output
    assert "at most (≤) where examples are packed" in done.output
