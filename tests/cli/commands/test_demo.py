"""The demo from start to end, on so few problems that it takes seconds.

Covers: overmem.cli.views.repair
"""

import io

import pytest
from rich.console import Console

from overmem.cli.commands import demo
from overmem.cli.commands.demo import run_demo
from overmem.recipe import reading as recipes
from overmem.verdict.live import read_points
from tests.helpers.points import RULE, points_of


@pytest.mark.slow
def test_the_whole_flow_runs_and_a_second_call_goes_on_from_it(tmp_path, monkeypatch, short_answers):
    few = {
        "data.train": "wordmath:train[:24]", "data.val": "wordmath:val[:12]",
        "data.ood": {"steps": "wordmath:ood_steps[:6]"}, "training.num_train_epochs": 2,
    }  # fmt: skip
    original = recipes.load_recipe

    def fewer(name, changes=None):
        return original(name, {**changes, **few} if name == "demo" else changes)

    monkeypatch.setattr(recipes, "load_recipe", fewer)
    monkeypatch.setattr(demo, "LIMITS", dict.fromkeys(demo.LIMITS, 4))
    monkeypatch.setattr(demo, "CONFIRM", "wordmath:test[:74]")
    said = [tell(tmp_path / "run"), tell(tmp_path / "run")]
    steps = (
        "1. overmem train demo",
        "2. overmem audit",
        "3. overmem diagnose",
        "4. overmem repair",
        "5. overmem",
    )
    for text in said:
        assert [text.index(step) for step in steps] == sorted(text.index(step) for step in steps)
        assert "Stage" in text and "against" in text and "All of it took" in text
    assert "training: step" in said[0] and "training: step" not in said[1]
    assert (tmp_path / "run" / "overmem" / "report.html").stat().st_size > 100_000
    assert (tmp_path / "run" / "overmem" / "repair.json").exists()


def tell(folder):
    screen = Console(file=io.StringIO(), width=80)
    demo.run_demo(folder, 0, screen)
    return screen.file.getvalue()


def test_the_demo_shows_what_the_monitor_reads(monkeypatch, tmp_path):
    class Trained(Exception):
        pass

    def train(recipe, *, watch, **others):
        watch(read_points(*points_of([0.4, 0.7]), RULE))
        raise Trained

    monkeypatch.setattr("overmem.training.trainer.train", train)
    monkeypatch.setattr("overmem.cli.progress.quiet_libraries", lambda: None)
    console = Console(file=io.StringIO(), width=80)
    with pytest.raises(Trained):
        run_demo(tmp_path, 0, console)
    assert "monitor: step 200: val ppl 2.0" in console.file.getvalue()
