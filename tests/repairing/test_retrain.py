"""When training again is advised, and the recipe that is written for it."""

import dataclasses
import json

import numpy as np
import pytest
import yaml

from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.recipe.reading import load_recipe
from overmem.records import Checkpoint, Run
from overmem.repairing.retrain import NOISE, reasons_to_retrain, write_recipe
from overmem.verdict.judge import judge


def planted(accuracy, nll, epochs=None):
    """A verdict on 400 problems that follow these curves."""
    rng = np.random.default_rng(0)
    level_N, spread_N = rng.random(400), rng.gamma(4, 0.25, 400)
    correct = np.array([(level_N < a).astype(float) for a in accuracy])
    steps = [100 * (i + 1) for i in range(len(nll))]
    epochs = epochs or [float(i + 1) for i in range(len(nll))]
    return judge(
        steps,
        correct,
        np.array([n * 20 * spread_N for n in nll]),
        np.full(400, 20.0),
        epochs=epochs,
        resamples=300,
    )


def test_a_good_checkpoint_needs_no_retraining():
    assert reasons_to_retrain(planted([0.7, 0.9, 0.9, 0.9], [0.5, 0.4, 0.45, 0.6])) == ()


def test_accuracy_that_only_comes_with_inflation_calls_for_retraining():
    found = reasons_to_retrain(planted([0.5, 0.6, 0.8, 0.9], [0.4, 0.41, 0.6, 0.8]))
    assert any("below" in reason for reason in found)


def test_memorizing_from_the_first_checkpoint_calls_for_retraining():
    found = reasons_to_retrain(planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8]))
    assert any("first checkpoint" in reason for reason in found)


def trainer_run(folder, **config):
    """What the plain HF Trainer leaves behind, without weights."""
    last = folder / "checkpoint-400"
    last.mkdir(parents=True)
    log = [{"step": s, "learning_rate": r, "loss": 1.0} for s, r in ((1, 1e-5), (10, 4e-4), (400, 1e-6))]
    state = {"global_step": 400, "num_train_epochs": 4, "train_batch_size": 8, "log_history": log}
    (last / "trainer_state.json").write_text(json.dumps(state))
    (folder / "README.md").write_text("---\nbase_model: org/model\nlibrary_name: transformers\n---\n# x\n")
    run = Run(path=folder, checkpoints=(Checkpoint(name="checkpoint-400", step=400, path=last, kind="full"),))
    known = {"train": "train.jsonl", "val": "val.jsonl", "template": {"kind": "auto"}, "base_model": None}
    known |= config
    splits = {name: measured_set(name, known[name]) for name in ("val", "train") if known[name]}
    return run, Manifest(config=known, axes=("likelihood", "accuracy"), splits=splits, checkpoints=())


def measured_set(name, source):
    return MeasuredSet(
        set=name, variant="clean", source=source, shape="prompt/completion", grader="exact", n=0,
        fingerprint="", example_ids=(), example_shas=(),
    )  # fmt: skip


def test_the_recipe_halves_the_rate_and_stops_sooner(tmp_path):
    run, manifest = trainer_run(tmp_path / "run")
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    found = write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    recipe = yaml.safe_load((tmp_path / "retrain.yaml").read_text())
    assert found.recipe == tmp_path / "retrain.yaml"
    assert recipe["loss"] == "nll" and recipe["model"]["name"] == "org/model"
    training = recipe["training"]
    # The lowest perplexity was after one epoch.
    assert training["learning_rate"] == pytest.approx(2e-4) and training["num_train_epochs"] == 2
    assert training["neftune_noise_alpha"] == NOISE and any("neftune" in change for change in found.changes)
    assert training["per_device_train_batch_size"] == 8 and recipe["data"]["train"] == "train.jsonl"


def test_a_base_model_that_the_audit_was_told_wins(tmp_path):
    run, manifest = trainer_run(tmp_path / "run", base_model="moved/model")
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    assert load_recipe(str(tmp_path / "retrain.yaml")).model.name == "moved/model"


def test_a_recipe_that_is_known_loses_rate_and_steps_whatever_it_says(tmp_path):
    run, manifest = trainer_run(tmp_path / "run")
    written = {"model": {"name": "organism"}, "data": {"train": "t.jsonl"}, "loss": "mar", "output": "x"}
    training = {"max_steps": 400, "neftune_noise_alpha": 10}
    (run.path / "recipe.yaml").write_text(yaml.safe_dump(written | {"training": training}))
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    found = write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    recipe = load_recipe(str(tmp_path / "retrain.yaml"))
    # TRL's default rate is 2e-5; the lowest perplexity was at step 100.
    assert recipe.training == {"max_steps": 200, "learning_rate": 1e-5, "neftune_noise_alpha": 10}
    assert recipe.data.val == "val.jsonl" and recipe.loss == "mar"
    assert not any("neftune" in change for change in found.changes)


def test_epochs_that_are_not_written_are_the_libraries_three(tmp_path):
    run, manifest = trainer_run(tmp_path / "run")
    written = {"model": {"name": "organism"}, "data": {"train": "t.jsonl"}, "output": "x"}
    (run.path / "recipe.yaml").write_text(yaml.safe_dump(written))
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    found = write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    # The lowest perplexity was after one epoch.
    assert load_recipe(str(tmp_path / "retrain.yaml")).training["num_train_epochs"] == 2
    assert "num_train_epochs: 3 to 2" in found.changes


def test_another_trainers_adapter_keeps_what_it_is(tmp_path):
    run, manifest = trainer_run(tmp_path / "run", base_model="org/model")
    (checkpoint,) = run.checkpoints
    ours = {"r": 4, "lora_alpha": 8, "modules_to_save": ["lm_head"], "rank_pattern": {"q_proj": 2}}
    theirs = ours | {"use_dora": True, "use_rslora": False, "base_model_name_or_path": "elsewhere"}
    (checkpoint.path / "adapter_config.json").write_text(json.dumps(theirs))
    run = dataclasses.replace(run, checkpoints=(dataclasses.replace(checkpoint, kind="adapter"),))
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    recipe = load_recipe(str(tmp_path / "retrain.yaml"))
    assert recipe.method == "dora" and recipe.lora == ours


def test_more_accurate_is_no_reason_unless_it_is_inflated():
    # With few problems one standard error exceeds the margin, and a later, fit checkpoint may be passed over.
    verdict = planted([0.5, 0.86, 0.88, 0.9], [0.5, 0.4, 0.41, 0.42])
    pick = dataclasses.replace(verdict.recommended, name=verdict.checkpoints[1].name)
    passed = dataclasses.replace(verdict, recommended=pick)
    assert passed.checkpoints[-1].stage == "fit" and reasons_to_retrain(passed) == ()


def test_without_training_data_there_is_no_recipe(tmp_path):
    run, manifest = trainer_run(tmp_path / "run", train=None)
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    found = write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    assert found.recipe is None and not (tmp_path / "retrain.yaml").exists()
    assert dataclasses.asdict(found)["reasons"] == ("why",)


def test_the_recipe_that_is_written_gives_no_leave_to_run_code(tmp_path):
    """Whoever trains by it is not asked again."""
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    written = {"model": {"name": "organism", "trust_remote_code": True, "attn_implementation": "org/kernel"}}
    written |= {"data": {"train": "t.jsonl"}, "output": "x", "training": {"trust_remote_code": True}}
    run, manifest = trainer_run(tmp_path / "run")
    (run.path / "recipe.yaml").write_text(yaml.safe_dump(written))
    write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    recipe = load_recipe(str(tmp_path / "retrain.yaml"))
    assert not recipe.model.trust_remote_code and recipe.model.attn_implementation is None
    assert "trust_remote_code" not in recipe.training


@pytest.mark.parametrize(("audited", "is_written"), [("auto", False), ("python:mine.py:render", True)])
def test_a_recipe_that_renders_by_other_code_is_written_only_where_the_audit_did(
    tmp_path, audited, is_written
):
    verdict = planted([0.9, 0.9, 0.9, 0.9], [0.4, 0.6, 0.7, 0.8])
    run, manifest = trainer_run(tmp_path / "run", template={"kind": audited})
    written = {"model": {"name": "organism"}, "data": {"train": "t.jsonl"}, "output": "x"}
    written |= {"template": {"kind": "python:mine.py:render"}}
    (run.path / "recipe.yaml").write_text(yaml.safe_dump(written))
    found = write_recipe(run, manifest, verdict, ("why",), tmp_path / "retrain.yaml")
    assert (found.recipe is not None) == (tmp_path / "retrain.yaml").exists() == is_written
