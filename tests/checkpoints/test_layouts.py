"""Checkpoints are found where frameworks put them, and the same ones whatever asks.

The layouts of frameworks are in `benchmarks/layouts.py`; here is what no naming of theirs settles.

Covers: overmem.checkpoints.names, overmem.checkpoints.folders, overmem.checkpoints.patterns
"""

import json
import os

import pytest

from overmem.checkpoints import find_folders, open_run, read_number
from overmem.checkpoints.names import is_named
from overmem.errors import NoCheckpointError, RunError
from tests.helpers.safetensors_files import safetensors


def model(folder, fill, step=None):
    safetensors(folder / "model.safetensors", fill=fill)
    if step is not None:
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))


def steps(root, **options):
    return {c.name: c.step for c in open_run(root, **options).checkpoints}


@pytest.mark.parametrize(
    ("name", "number", "unit"),
    [
        ("checkpoint-300", 300, "step"),
        ("step-000300", 300, "step"),
        ("global_step300_hf", 300, "step"),
        ("iter_0000300", 300, "step"),
        ("epoch_2", 2, "epoch"),
        ("epoch_2_step_300", 300, "step"),
        ("epoch=2-step=300", 300, "step"),
        ("ep2-ba300", 300, "step"),
        ("step1000-tokens4B", 1000, "step"),
        ("checkpoint-epoch3", 3, "epoch"),
    ],
)
def test_a_name_says_its_step(name, number, unit):
    found = read_number(name)
    assert found is not None and (found.number, found.unit) == (number, unit)


@pytest.mark.parametrize(
    "name",
    ["checkpoint-10-merged", "tmp-checkpoint-10", "run-3", "qwen2.5-7b", "steps", "v0-20250101-120000"],
)
def test_other_names_say_none(name):
    assert read_number(name) is None and not is_named(name)


def test_epochs_from_0_are_counted_as_passed(tmp_path):
    for n in range(3):
        model(tmp_path / f"epoch_{n}", n)
    assert steps(tmp_path) == {"epoch_0": 1, "epoch_1": 2, "epoch_2": 3}
    assert [c.epoch for c in open_run(tmp_path).checkpoints] == [1.0, 2.0, 3.0]


def test_steps_and_epochs_have_no_order(tmp_path):
    model(tmp_path / "epoch_1", 1)
    model(tmp_path / "step_10", 2)
    with pytest.raises(RunError, match="nothing says which came first"):
        open_run(tmp_path)
    assert steps(tmp_path, checkpoints_glob="step_*") == {"step_10": 10}
    for name, step in (("epoch_1", 5), ("step_10", 10)):
        (tmp_path / name / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    assert steps(tmp_path) == {"epoch_1": 5, "step_10": 10}


def test_two_folders_of_one_step_are_settled_before_the_work(tmp_path):
    model(tmp_path / "checkpoint-10", 1)
    model(tmp_path / "step_10", 1)
    run = open_run(tmp_path)
    assert [c.name for c in run.checkpoints] == ["checkpoint-10"]
    assert run.skipped == {"step_10": "it holds the weights of checkpoint-10, which is measured"}
    model(tmp_path / "step_10", 2)
    with pytest.raises(RunError, match="two checkpoints of step 10 hold different weights") as error:
        open_run(tmp_path)
    assert "--checkpoints-glob" in str(error.value)


def test_a_state_that_was_copied_along_gives_way_to_the_names(tmp_path):
    for step in (10, 20):
        model(tmp_path / f"checkpoint-{step}", step, step=10)
    assert steps(tmp_path) == {"checkpoint-10": 10, "checkpoint-20": 20}


@pytest.mark.parametrize(
    ("state", "fill", "expected", "said"),
    [
        (15, 9, {"checkpoint-10": 10, "best": 15, "checkpoint-20": 20}, None),
        (10, 9, {"checkpoint-10": 10, "checkpoint-20": 20}, "it is of step 10 as checkpoint-10"),
        (None, 10, {"checkpoint-10": 10, "checkpoint-20": 20}, "it holds the weights of checkpoint-10"),
        (None, 9, {"checkpoint-10": 10, "checkpoint-20": 20, "best": 21}, None),
    ],
)
def test_a_model_without_a_number_has_its_place(tmp_path, state, fill, expected, said):
    for step in (10, 20):
        model(tmp_path / f"checkpoint-{step}", step)
    model(tmp_path / "best", fill, step=state)
    assert steps(tmp_path) == expected
    found = open_run(tmp_path).skipped.get("best")
    assert found == (None if said is None else f"{said}, which is measured")


def test_links_to_a_checkpoint_are_that_checkpoint_and_dangling_ones_are_named(tmp_path):
    for step in (10, 20):
        model(tmp_path / f"checkpoint-{step}", step)
    (tmp_path / "last").symlink_to("checkpoint-20")
    (tmp_path / "checkpoint-30").symlink_to("gone")
    (tmp_path / "checkpoint-10" / "model.safetensors").unlink()
    (tmp_path / "checkpoint-10" / "model.safetensors").symlink_to("../../blobs/gone")
    run = open_run(tmp_path)
    assert [c.name for c in run.checkpoints] == ["checkpoint-20"]
    assert run.skipped["checkpoint-30"] == "checkpoint-30 is a link to gone, which is not there"
    assert "is a link to a file that is not there" in run.skipped["checkpoint-10"]


def test_several_runs_are_asked_about(tmp_path):
    for version in ("v0-20250101-120000", "v1-20250102-120000"):
        model(tmp_path / version / "checkpoint-10", 1)
        if version.startswith("v0"):
            assert open_run(tmp_path).home == tmp_path / version
    with pytest.raises(RunError, match="holds 2 runs") as error:
        open_run(tmp_path)
    assert str(tmp_path / "v1-20250102-120000") in str(error.value)


def test_a_model_at_the_root_beside_one_called_final(tmp_path):
    model(tmp_path / "step_10", 1)
    model(tmp_path / "final", 2)
    model(tmp_path, 3)
    assert steps(tmp_path) == {"step_10": 10, "final": 11, "root": 12}


def test_whole_weights_are_taken_before_shards_of_the_same(tmp_path):
    model(tmp_path / "step_10" / "model", 1)
    model(tmp_path / "step_10" / "model" / "consolidated", 2)
    assert open_run(tmp_path).checkpoints[0].path == tmp_path / "step_10" / "model" / "consolidated"


def test_the_state_of_deepspeed_in_a_checkpoint_is_none(tmp_path):
    model(tmp_path / "checkpoint-10", 1)
    (tmp_path / "checkpoint-10" / "global_step10").mkdir()
    (tmp_path / "checkpoint-10" / "global_step10" / "mp_rank_00_model_states.pt").write_bytes(b"x")
    assert steps(tmp_path) == {"checkpoint-10": 10}
    alone = open_run(tmp_path / "checkpoint-10")
    assert [c.name for c in alone.checkpoints] == ["final"] and not alone.skipped


def test_a_model_below_is_no_run(tmp_path):
    model(tmp_path / "base", 1)
    with pytest.raises(NoCheckpointError, match="only models without a step") as error:
        open_run(tmp_path)
    assert str(tmp_path / "base") in str(error.value)
    model(tmp_path / "v0" / "checkpoint-10", 2)
    assert open_run(tmp_path).home == tmp_path / "v0"


def test_states_and_weights_of_the_same_steps_lie_beside_each_other(tmp_path):
    model(tmp_path / "weights" / "step_10", 1)
    (tmp_path / "checkpoints" / "step_10").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step_10" / "__0_0.distcp").write_bytes(b"x")
    run = open_run(tmp_path)
    assert [c.path for c in run.checkpoints] == [tmp_path / "weights" / "step_10"] and not run.skipped


def test_several_adapters_are_asked_about(tmp_path):
    for name in ("train", "reference"):
        safetensors(tmp_path / "checkpoint-10" / name / "adapter_model.safetensors")
    safetensors(tmp_path / "checkpoint-10" / "other" / "adapter_model.safetensors")
    with pytest.raises(RunError, match="holds several models: other, train") as error:
        open_run(tmp_path)
    assert "--checkpoints-glob 'checkpoint-*/other'" in str(error.value)
    found = open_run(tmp_path, checkpoints_glob="checkpoint-*/train").checkpoints[0]
    assert (found.name, found.step, found.path.name) == ("checkpoint-10", 10, "train")


@pytest.mark.parametrize(
    ("folders", "pattern", "expected"),
    [
        (["r7b/a-10/m2", "r7b/a-20/m2"], "r7b/*/m2", {"a-10": 10, "a-20": 20}),
        (["x/1e-5-s100", "x/1e-5-s200"], "x/*", {"1e-5-s100": 100, "1e-5-s200": 200}),
        (["100", "200"], "*00", {"100": 100, "200": 200}),
        (["a/s1", "b/s2"], "*/s*", {"s1": 1, "s2": 2}),
    ],
)
def test_a_pattern_finds_what_has_other_names(tmp_path, folders, pattern, expected):
    for n, name in enumerate(folders):
        model(tmp_path / name, n)
    assert steps(tmp_path, checkpoints_glob=pattern) == expected
    assert {f.name for f in find_folders(tmp_path, pattern).folders} == set(expected)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("/tmp/*", "relative to RUN"),
        ("../*", "relative to RUN"),
        ("b*", "matches no folder"),
        ("a", "a number"),
    ],
)
def test_a_pattern_that_says_nothing_is_refused(tmp_path, pattern, said):
    model(tmp_path / "a", 1)
    with pytest.raises(RunError, match=said):
        open_run(tmp_path, checkpoints_glob=pattern)


def test_a_folder_that_cannot_be_listed_holds_nothing(tmp_path, monkeypatch):
    model(tmp_path / "checkpoint-10", 1)
    (tmp_path / "locked").mkdir()
    listed = os.scandir

    def refuse(path="."):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert steps(tmp_path) == {"checkpoint-10": 10}
