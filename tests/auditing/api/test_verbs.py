"""From Python: what an audit would cost, and a folder that is followed."""

import pytest

import overmem
from overmem.errors import RunError


def test_a_plan_measures_nothing_and_says_what_it_would_take(pico_run, val_file):
    made = overmem.plan(pico_run, val=val_file, max_new_tokens=4, limit=6)
    assert repr(made).startswith("Forecast: about ") and "accuracy 6 problems at 3 checkpoints" in repr(made)
    assert made.seconds > 0
    assert {item.axis for item in made.plan.axes} == {"likelihood", "accuracy"}
    assert not (pico_run / "overmem" / "manifest.json").exists()


def test_a_folder_is_followed_and_each_update_can_be_judged(pico_run, val_file):
    updates = list(
        overmem.watch(
            pico_run, val=val_file, max_new_tokens=4, limit=6, every=0.01, settle=0.0, idle_minutes=0.005
        )
    )
    assert updates[0].new == ("checkpoint-10", "checkpoint-20", "checkpoint-100")
    assert len(overmem.diagnose(updates[0].audit).checkpoints) == 3
    assert repr(updates[0].audit).startswith("Audit ") and len(repr(updates[0].audit)) < 400


def test_a_wrong_value_is_said_when_watch_is_called_not_while_it_runs(tmp_path):
    with pytest.raises(RunError, match="samples"):
        overmem.watch(tmp_path, val="val.jsonl", samples="many")
