"""Every method leaves adapters that are right over the base model on disk, whatever it trained over."""

import gc
import json
import shutil
import weakref

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import overmem
from overmem.errors import CheckpointError, RecipeError, RunError
from overmem.models.loading import ModelHost
from overmem.models.plain_adapter import plain_adapter
from overmem.recipe.schema import check_recipe
from overmem.records import Checkpoint
from overmem.training.adapter_setup import AdaptingTrainer
from overmem.training.settings import lora_config
from overmem.training.trainer import train
from tests.conftest import make_pico, save_checkpoint

TRAINING = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 6,
    "learning_rate": 1e-2,
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
}
IDS = torch.arange(5, 45).reshape(2, 20)
METHODS = {
    "full": {},
    "lora": {"r": 2},
    "rslora": {"r": 4},
    "dora": {"r": 2},
    "pissa": {"r": 2, "lora_alpha": 3},
    "olora": {"r": 3, "use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"up_proj": 5}},
    "lora_plus": {"r": 2},
}


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def on_disk(base):
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


@pytest.fixture
def base(tmp_path, tokenizer):
    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=0, initializer_range=0.2), tokenizer, 0)
    return tmp_path / "base"


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
    ("method", "init"), [("pissa", "pissa"), ("pissa", "pissa_niter_1"), ("dora", "olora")]
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


# Runs of other tools, whose adapters are as PEFT saves them


def foreign_checkpoint(run, base, step, tokenizer, rows=None, **settings):
    """A checkpoint as TRL leaves it, of a model with so many tokens, and its logits in training."""
    torch.manual_seed(step)
    config = LoraConfig(**{"r": 3, "lora_alpha": 5, "task_type": "CAUSAL_LM"} | settings)
    start = on_disk(base)
    if rows is not None:
        start.resize_token_embeddings(rows, mean_resizing=False)
    model = get_peft_model(start, config)
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value += 0.1 * torch.randn_like(value)
    save_checkpoint(run / f"checkpoint-{step}", model, tokenizer, step)
    return logits(model)


def check_there_and_back(run, expected):
    """What one checkpoint leaves behind would show in another."""
    opened = overmem.open_run(run)
    host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32)
    for checkpoint in (*opened.checkpoints, *reversed(opened.checkpoints)):
        found = logits(host.load(checkpoint))
        torch.testing.assert_close(found, expected[checkpoint.step], atol=5e-5, rtol=0)


def test_unconverted_adapters_are_measured_over_the_base_they_were_trained_over(tmp_path, base, tokenizer):
    run = tmp_path / "run"
    targets = ["q_proj", "down_proj"]
    expected = {
        1: foreign_checkpoint(run, base, 1, tokenizer, init_lora_weights="pissa"),
        2: foreign_checkpoint(run, base, 2, tokenizer),
        3: foreign_checkpoint(run, base, 3, tokenizer, init_lora_weights="olora", use_rslora=True),
        4: foreign_checkpoint(run, base, 4, tokenizer, init_lora_weights="pissa", target_modules=targets),
        5: foreign_checkpoint(run, base, 5, tokenizer, init_lora_weights="pissa", use_dora=True),
    }
    before = {name: value.clone() for name, value in on_disk(base).named_parameters()}
    opened = overmem.open_run(run)
    host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32)
    # There and back: what one leaves behind would show in another.
    for checkpoint in (*opened.checkpoints, *reversed(opened.checkpoints)):
        found = logits(host.load(checkpoint))
        torch.testing.assert_close(found, expected[checkpoint.step], atol=5e-5, rtol=0)
    held = {name.replace(".base_layer", ""): v for name, v in host._base.named_parameters()}
    assert all(torch.equal(held[name], value) for name, value in before.items() if name in held)


def test_biases_that_an_adapter_has_changed_are_not_left_to_the_next(tmp_path, tokenizer):
    base, run = tmp_path / "base", tmp_path / "run"
    model = make_pico(tokenizer, seed=0, initializer_range=0.2, attention_bias=True, mlp_bias=True)
    save_checkpoint(base, model, tokenizer, 0)
    kinds = ("none", "all", "all", "none", "lora_only", "all", "none")
    check_there_and_back(
        run,
        {step: foreign_checkpoint(run, base, step, tokenizer, bias=kind) for step, kind in enumerate(kinds)},
    )


@pytest.mark.parametrize("tied", [False, True])
def test_adapters_with_tokens_of_their_own_are_measured_with_them(tmp_path, tokenizer, val_file, tied):
    base, run = tmp_path / "base", tmp_path / "run"
    model = make_pico(tokenizer, seed=0, initializer_range=0.2, tie_word_embeddings=tied)
    save_checkpoint(base, model, tokenizer, 0)
    size = len(tokenizer)
    whole = {"modules_to_save": ["embed_tokens", "lm_head"]}
    expected = {
        1: foreign_checkpoint(run, base, 1, tokenizer, rows=size + 3, **whole),
        2: foreign_checkpoint(run, base, 2, tokenizer, rows=size + 3, **whole),
        3: foreign_checkpoint(run, base, 3, tokenizer, rows=size + 5, **whole),
        4: foreign_checkpoint(run, base, 4, tokenizer),
        5: foreign_checkpoint(run, base, 5, tokenizer, rows=size + 5),
        6: foreign_checkpoint(run, base, 6, tokenizer, rows=size + 5),
        7: foreign_checkpoint(run, base, 7, tokenizer, **whole),
        8: foreign_checkpoint(run, base, 8, tokenizer),
    }
    assert expected[1].shape[-1] == size + 3
    check_there_and_back(run, expected)
    audit = overmem.audit(run, val=str(val_file), axes=("likelihood",), limit=2)
    assert not audit.skipped


@pytest.mark.parametrize("bad", [1, 2])
def test_an_adapter_that_does_not_fit_leaves_nothing_to_the_next(tmp_path, tokenizer, bad):
    run = tmp_path / "run"
    for name, width in (("base", 32), ("wide", 48)):
        model = make_pico(
            tokenizer, seed=0, initializer_range=0.2, attention_bias=True, intermediate_size=width
        )
        save_checkpoint(tmp_path / name, model, tokenizer, 0)
    expected = {}
    for step in (1, 2, 3):
        # By the time the misfit is noticed, the bad one's biases are in the base model.
        name, bias = ("wide", "all") if step == bad else ("base", "none")
        targets = ["q_proj", "down_proj"]
        expected[step] = foreign_checkpoint(
            run, tmp_path / name, step, tokenizer, target_modules=targets, bias=bias
        )
    opened = overmem.open_run(run)
    host = ModelHost(
        opened, device=torch.device("cpu"), dtype=torch.float32, base_model=str(tmp_path / "base")
    )
    for checkpoint in opened.checkpoints:
        if checkpoint.step == bad:
            with pytest.raises(
                CheckpointError, match=r"got: +size mismatch for base_model\S+down_proj\S+lora_A"
            ):
                host.load(checkpoint)
            continue
        found = logits(host.load(checkpoint))
        torch.testing.assert_close(found, expected[checkpoint.step], atol=5e-5, rtol=0)


def test_no_two_models_are_in_memory_at_once(tmp_path, base, tokenizer, monkeypatch):
    run, wide = tmp_path / "run", tmp_path / "wide"
    save_checkpoint(wide, make_pico(tokenizer, seed=0, intermediate_size=48), tokenizer, 0)
    for step, settings in enumerate([{}, {"rows": len(tokenizer) + 3}, {}]):
        foreign_checkpoint(run, base, step, tokenizer, **settings)
    foreign_checkpoint(run, wide, 3, tokenizer, target_modules=["down_proj"])
    opened = overmem.open_run(run)
    host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32, base_model=str(base))
    loaded, alive = [], []
    from_pretrained = ModelHost._from_pretrained

    def spy(self, name):
        alive.append([model() is not None for model in loaded])
        model = from_pretrained(self, name)
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr(ModelHost, "_from_pretrained", spy)
    # Memory is to be free at once, not when the next collection happens to come.
    gc.collect()
    gc.disable()
    try:
        for checkpoint in opened.checkpoints[:3]:
            host.load(checkpoint)
        with pytest.raises(CheckpointError) as kept:
            host.load(opened.checkpoints[3])
        host.load(opened.checkpoints[0])
        host.load(Checkpoint(name="base", step=0, path=base, kind="full"))
        host.load(opened.checkpoints[0])
        host.base_model = None
        host.load(opened.checkpoints[3])
    finally:
        gc.enable()
    assert kept is not None
    assert len(loaded) == 7
    assert not any(any(before) for before in alive), alive


def test_what_cannot_be_made_again_is_skipped_with_the_reason(tmp_path, base, tokenizer, val_file):
    run = tmp_path / "run"
    foreign_checkpoint(run, base, 1, tokenizer)
    foreign_checkpoint(run, base, 2, tokenizer, init_lora_weights="pissa_niter_4")
    audit = overmem.audit(run, val=str(val_file), axes=("likelihood",), limit=2)
    assert "random numbers" in audit.manifest["skipped"]["checkpoint-2"]
    with pytest.raises(CheckpointError, match="plain already"):
        plain_adapter(run / "checkpoint-1", tmp_path / "never")
    with pytest.raises(CheckpointError, match="random numbers"):
        plain_adapter(run / "checkpoint-2", tmp_path / "never")
    with pytest.raises(CheckpointError, match=r"adapter_config\.json"):
        plain_adapter(run, tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_made_plain_they_merge(tmp_path, base, tokenizer):
    run = tmp_path / "run"
    for step, init in ((1, "pissa"), (2, "olora")):
        foreign_checkpoint(run, base, step, tokenizer, init_lora_weights=init)
        overmem.plain_adapter(run / f"checkpoint-{step}", tmp_path / f"plain-{step}")
    full = [
        PeftModel.from_pretrained(on_disk(base), run / f"checkpoint-{step}").merge_and_unload().state_dict()
        for step in (1, 2)
    ]
    plain = [tmp_path / "plain-1", tmp_path / "plain-2"]
    assert json.loads((plain[0] / "trainer_state.json").read_text())["global_step"] == 1
    with pytest.raises(CheckpointError, match="in use"):
        plain_adapter(run / "checkpoint-1", plain[0])
    with pytest.raises(RunError, match="--base-model"):
        plain_adapter(run / "checkpoint-1", tmp_path / "never", base_model="/gone")
    merged = AutoModelForCausalLM.from_pretrained(overmem.merge(plain, tmp_path / "full", into_full=True))
    for name, value in merged.state_dict().items():
        torch.testing.assert_close(value, (full[0][name] + full[1][name]) / 2, atol=1e-5, rtol=0)
    adapted = PeftModel.from_pretrained(on_disk(base), overmem.merge(plain, tmp_path / "adapter"))
    torch.testing.assert_close(logits(adapted), logits(merged), atol=5e-5, rtol=0)
