"""Every method leaves adapters that are right over the base model on disk."""

import json
import shutil

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file

import overmem
from overmem.errors import RecipeError
from overmem.models.loading import ModelHost
from overmem.recipe.reading import check_recipe
from overmem.training.adapter_setup import AdaptingTrainer
from overmem.training.settings import lora_config
from overmem.training.trainer import train
from tests.helpers.adapters import logits, on_disk

TRAINING = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 6,
    "learning_rate": 1e-2,
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
}
METHODS = {
    "full": {},
    "lora": {"r": 2},
    "rslora": {"r": 4},
    "dora": {"r": 2},
    "pissa": {"r": 2, "lora_alpha": 3},
    "olora": {"r": 3, "use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"up_proj": 5}},
    "lora_plus": {"r": 2},
}


@pytest.fixture
def recipe(tmp_path, val_file, base):
    def make(**changes):
        written = {
            "model": {"name": str(base)},
            "data": {"train": str(val_file), "val": str(val_file)},
            "output": str(tmp_path / "out"),
            "monitor": False,
            "training": TRAINING,
        }
        return check_recipe(written | changes, "test")

    return make


@pytest.fixture
def in_training(monkeypatch):
    """Logits of the model in memory whenever it is saved."""
    seen = []
    save = AdaptingTrainer._save

    def spy(self, *args, **kwargs):
        save(self, *args, **kwargs)
        seen.append(logits(self.model))
        self.model.train()

    monkeypatch.setattr(AdaptingTrainer, "_save", spy)
    return seen


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_over_the_base_on_disk_is_the_model_that_was_trained(recipe, base, in_training, method):
    path = train(recipe(method=method, lora=METHODS[method], save_base=True))
    untrained, *rest = in_training
    torch.testing.assert_close(untrained, logits(on_disk(base)), atol=2e-5, rtol=0)
    run = overmem.open_run(path)
    assert len(rest) == 2 and not torch.allclose(untrained, rest[-1], atol=0.05)
    host = ModelHost(run, device=torch.device("cpu"), dtype=torch.float32)
    for checkpoint, expected in zip(run.checkpoints, in_training, strict=True):
        full = method == "full"
        loaded = (
            on_disk(checkpoint.path) if full else PeftModel.from_pretrained(on_disk(base), checkpoint.path)
        )
        torch.testing.assert_close(logits(loaded), expected, atol=2e-5, rtol=0)
        torch.testing.assert_close(logits(host.load(checkpoint)), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("init", ["pissa", "olora"])
@pytest.mark.parametrize("rslora", [False, True])
def test_training_starts_where_peft_starts_it(recipe, base, tokenizer, monkeypatch, init, rslora):
    lora = {"r": 3, "lora_alpha": 5, "use_rslora": rslora}
    made = []
    change = AdaptingTrainer.change_base

    def spy(self, *args):
        change(self, *args)
        made.append({name: value.clone() for name, value in self.model.state_dict().items()})
        raise KeyboardInterrupt

    monkeypatch.setattr(AdaptingTrainer, "change_base", spy)
    chosen = recipe(method=init, lora=lora)
    with pytest.raises(KeyboardInterrupt):
        train(chosen)
    theirs = get_peft_model(on_disk(base), lora_config(chosen)).state_dict()
    assert made[0].keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(made[0][name], value), name


@pytest.mark.parametrize(
    ("method", "init"),
    [
        ("pissa", "pissa_niter_1"),
        pytest.param("pissa", "pissa", marks=pytest.mark.exhaustive),
        pytest.param("dora", "olora", marks=pytest.mark.exhaustive),
    ],
)
def test_a_resumed_run_ends_where_one_that_was_not_stopped_does(recipe, tmp_path, method, init):
    """To the bit, also where the start was drawn at random."""
    settings = {"method": method, "lora": {"r": 2, "init_lora_weights": init}}
    whole = train(recipe(**settings, output=str(tmp_path / "whole")))
    stopped = train(recipe(**settings))
    shutil.rmtree(stopped / "checkpoint-4")
    torch.manual_seed(1234)
    train(recipe(**settings), resume=True)
    ours, theirs = (load_file(run / "checkpoint-4/adapter_model.safetensors") for run in (stopped, whole))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_best_checkpoint_is_brought_back(recipe, in_training):
    best = {"eval_strategy": "epoch", "load_best_model_at_end": True, "metric_for_best_model": "eval_loss"}
    path = train(recipe(method="pissa", lora={"r": 2}, training=TRAINING | best | {"learning_rate": 1.0}))
    assert json.loads((path / "checkpoint-4/trainer_state.json").read_text())["best_model_checkpoint"]


def test_lora_plus_gives_b_another_rate(recipe, tmp_path):
    """Adam's first step moves every parameter by the learning rate, whatever its gradient."""
    training = TRAINING | {"max_steps": 1, "lr_scheduler_type": "constant", "learning_rate": 1e-3}
    largest = {}
    for ratio in (1, 16, None):
        changes = {} if ratio is None else {"lora_plus_ratio": ratio}
        method = "lora" if ratio is None else "lora_plus"
        run = train(recipe(method=method, output=str(tmp_path / f"{ratio}"), training=training, **changes))
        tensors = load_file(run / "checkpoint-1/adapter_model.safetensors")
        largest[ratio] = max(float(t.abs().max()) for name, t in tensors.items() if "lora_B" in name)
    assert largest[1] == largest[None] == pytest.approx(1e-3, rel=1e-3)
    assert largest[16] == pytest.approx(16e-3, rel=1e-3)


def test_lora_plus_gives_embeddings_the_rate_of_a(recipe):
    training = TRAINING | {"max_steps": 1, "lr_scheduler_type": "constant", "learning_rate": 1e-3}
    lora = {"r": 2, "target_modules": ["embed_tokens", "q_proj"]}
    run = train(recipe(method="lora_plus", lora=lora, training=training))
    tensors = load_file(run / "checkpoint-1/adapter_model.safetensors")
    # Of an embedding A starts at zero.
    (factor,) = (t for name, t in tensors.items() if "lora_embedding_A" in name)
    assert float(factor.abs().max()) == pytest.approx(1e-3, rel=1e-3)


def test_a_rank_above_the_weights_is_refused(recipe):
    with pytest.raises(RecipeError, match=r"smaller than the rank[\s\S]*at most 16"):
        train(recipe(method="pissa", lora={"r": 17}))
