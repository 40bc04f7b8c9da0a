"""Losses in training, against TRL's own trainer, a written-out step, and themselves split otherwise.

Covers: overmem.training.logits
"""

import copy
import json
import warnings

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments
from trl import SFTConfig, SFTTrainer

from overmem.errors import RecipeError
from overmem.recipe.losses import LOSSES, token_weights
from overmem.training.reweighted import ReweightedSFTTrainer, has_fused_head, reweighted_loss
from tests.conftest import make_pico
from tests.helpers.training import QUIET, QUIET_SFT, draw_rows, run_in_two_processes

ROWS = [(1 + i % 5, 2 + (7 * i) % 11) for i in range(48)]
"""Lengths of prompt and completion: micro-batches differ in their number of tokens."""


@pytest.fixture(scope="module")
def base(tokenizer):
    return make_pico(tokenizer, seed=0, initializer_range=0.8)


@pytest.fixture(scope="module")
def data(base):
    return draw_rows(base, ROWS)


@pytest.fixture
def run(tmp_path, tokenizer, data, base):
    """Train a copy of the base model and return the trainer."""

    def go(kind=ReweightedSFTTrainer, steps=20, model=None, loss=None, **changes):
        own = {k: changes.pop(k) for k in list(changes) if k in OURS}
        arguments = QUIET_SFT | {
            "output_dir": str(tmp_path / "out"),
            "max_steps": steps,
            "per_device_train_batch_size": 8,
            "learning_rate": 1e-2,
        }
        trainer = kind(
            model=copy.deepcopy(base) if model is None else model,
            args=SFTConfig(**(arguments | changes)),
            train_dataset=data,
            eval_dataset=data.select(range(16)),
            processing_class=tokenizer,
            **own,
            **({} if loss is None else {"loss": loss}),
        )
        trainer.train()
        return trainer

    return go


OURS = {"loss_options", "normalize_weights", "weights_from_step", "peft_config"}


def weights_of(trainer):
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


def apart(one, other):
    one, other = weights_of(one), weights_of(other)
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def logged(trainer, key):
    return [row[key] for row in trainer.state.log_history if key in row]


@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize("name", ["nll", "dft"])
def test_nll_and_dft_are_trl_s(run, name, pieces):
    shape = {"per_device_train_batch_size": 8 // pieces, "gradient_accumulation_steps": pieces}
    theirs = run(SFTTrainer, loss_type=name, **shape)
    ours = run(loss=name, **shape)
    assert apart(ours, theirs) < 1e-6
    assert logged(ours, "loss") == pytest.approx(logged(theirs, "loss"), abs=1e-6)
    for key in ("entropy", "mean_token_accuracy", "num_tokens", "grad_norm"):
        assert logged(ours, key) == pytest.approx(logged(theirs, key), abs=1e-5)


@pytest.mark.parametrize("name", ["mar", "talr", "label_smoothing"])
def test_accumulation_changes_nothing(run, name):
    sgd = {"steps": 4, "optim": "sgd", "learning_rate": 0.1}
    whole = run(loss=name, per_device_train_batch_size=8, **sgd)
    parts = run(loss=name, per_device_train_batch_size=2, gradient_accumulation_steps=4, **sgd)
    assert apart(whole, parts) < 1e-6
    assert logged(whole, "token_weight") == pytest.approx(logged(parts, "token_weight"), abs=1e-6)
    assert logged(whole, "grad_norm") == pytest.approx(logged(parts, "grad_norm"), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "normalize"),
    [
        ("mar", {}, False),
        ("mar", {}, True),
        ("focal", {"gamma": 0.5, "differentiate": True}, False),
        ("eaft", {"alpha": 2.0}, False),
        ("talr", {"tau": 2.0}, False),
        ("goldfish", {"k": 2, "h": 3}, False),
        ("goldfish", {"k": 2, "h": 3}, True),
    ],
)
def test_one_step_is_the_written_step(run, base, data, name, options, normalize):
    trainer = run(
        steps=1, loss=name, loss_options=options, normalize_weights=normalize,
        per_device_train_batch_size=16, gradient_accumulation_steps=3,
        optim="sgd", learning_rate=1.0, max_grad_norm=0.0, lr_scheduler_type="constant",
    )  # fmt: skip
    model = copy.deepcopy(base)
    batch = DataCollatorForSeq2Seq(trainer.processing_class)([data[i] for i in range(len(data))])
    mask = batch["labels"][:, 1:] != -100
    logp = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].log_softmax(-1)
    logprobs = logp.gather(2, batch["labels"][:, 1:].clamp(min=0)[..., None])[..., 0]
    entropy = -(logp.exp() * logp).sum(-1)
    ids = batch["input_ids"] if name == "goldfish" else None
    weights = token_weights(name, logprobs, entropy, mask, normalize=normalize, input_ids=ids, **options)
    (-(weights * logprobs)[mask].sum() / mask.sum()).backward()
    after = weights_of(trainer)
    for key, value in model.named_parameters():
        torch.testing.assert_close(after[key], (value - value.grad).detach(), atol=2e-6, rtol=1e-4)
    if not normalize and name != "talr":
        mean = float(weights[mask].mean().detach())
        assert logged(trainer, "token_weight")[0] == pytest.approx(mean, abs=1e-5) and mean < 0.95


def test_evaluation_is_plain_nll_and_token_weight_is_logged_for_every_loss(run, base, data, tokenizer):
    """One step at learning rate 0: the model stays what it was, whatever the loss."""
    batch = DataCollatorForSeq2Seq(tokenizer)([data[i] for i in range(16)])
    with torch.no_grad():
        plain = float(base(**batch).loss)
    for name, loss in LOSSES.items():
        trainer = run(steps=1, loss=name, learning_rate=0.0, per_device_eval_batch_size=16)
        assert trainer.evaluate()["eval_loss"] == pytest.approx(plain, abs=1e-5), name
        assert "eval_token_weight" not in trainer.state.log_history[-1]
        assert len(logged(trainer, "token_weight")) == (1 if loss.weights else 0), name
        assert name == "nll" or logged(trainer, "loss")[0] != pytest.approx(plain, abs=1e-3)


def test_eaft_takes_either_entropy(run):
    full = run(steps=1, loss="eaft")
    top = run(steps=1, loss="eaft", loss_options={"entropy_form": "top20"})
    assert 0 < logged(top, "token_weight")[0] < 1
    assert logged(top, "token_weight") != logged(full, "token_weight")
    assert logged(top, "entropy") == pytest.approx(logged(full, "entropy"), abs=1e-5)


def test_a_warm_up_of_nll(run):
    first = run(loss="nll", steps=3, lr_scheduler_type="constant")
    mixed = run(loss="mar", steps=6, weights_from_step=3, lr_scheduler_type="constant")
    assert logged(mixed, "loss")[:3] == pytest.approx(logged(first, "loss"), abs=1e-6)
    weights = logged(mixed, "token_weight")
    assert weights[:3] == [1, 1, 1] and all(weight < 1 for weight in weights[3:])


def test_goldfish_leaves_out_the_same_tokens_in_every_epoch_and_collator(run, monkeypatch):
    seen = []
    score = ReweightedSFTTrainer._score

    def watch(self, model, batch, loss, settings):
        ids = batch["input_ids"].clone()
        outputs, weights = score(self, model, batch, loss, settings)
        if self.model.training:
            chosen = outputs.label_mask.nonzero().tolist()
            # A completion token is named by itself and the four before it.
            places = [(row, place) for row, place in chosen if place >= 4]
            seen.append({tuple(ids[r, t - 3 : t + 2].tolist()): float(weights[r, t]) for r, t in places})
        return outputs, weights

    monkeypatch.setattr(ReweightedSFTTrainer, "_score", watch)
    options = {"loss": "goldfish", "loss_options": {"k": 3, "h": 4}}
    trainer = run(steps=12, **options)  # two epochs
    epochs = [{k: v for part in seen[i : i + 6] for k, v in part.items()} for i in (0, 6)]
    assert epochs[0] == epochs[1] and len(epochs[0]) > 150
    dropped = [value == 0 for value in epochs[0].values()]
    assert sum(dropped) / len(dropped) == pytest.approx(1 / 3, abs=0.1)
    assert logged(trainer, "token_weight")[0] < 1
    seen.clear()
    run(steps=6, padding_free=True, **options)
    packed = {k: v for part in seen for k, v in part.items()}
    assert {k: packed[k] for k in epochs[0]} == epochs[0]


def test_padding_free_changes_nothing(run):
    sgd = {"optim": "sgd", "learning_rate": 0.1}
    rows = run(steps=3, loss="mar", **sgd)
    flat = run(steps=3, loss="mar", padding_free=True, **sgd)
    assert apart(rows, flat) < 1e-5


def test_adapters(run, base):
    trainer = run(steps=4, loss="mar", peft_config=LoraConfig(r=2, target_modules="all-linear"))
    moved = {
        name for name, value in weights_of(trainer).items() if "lora_B" in name and value.abs().max() > 0
    }
    assert len(moved) == 14 and has_fused_head(trainer.model)
    virtual = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    for name in ("goldfish", "label_smoothing"):
        model = get_peft_model(copy.deepcopy(base), virtual)
        assert run(steps=1, loss=name, model=model).state.global_step == 1


def test_a_model_without_a_fused_head_falls_back_with_one_warning(run, base):
    model = copy.deepcopy(base)
    model.lm_head = torch.nn.Sequential(model.lm_head)
    model.get_output_embeddings = lambda: model.lm_head
    assert not has_fused_head(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        slow = run(steps=3, loss="mar", model=model)
    assert len([w for w in caught if "fused LM head" in str(w.message)]) == 1
    fast = run(steps=3, loss="mar")
    assert logged(slow, "loss") == pytest.approx(logged(fast, "loss"), abs=1e-5)
    assert logged(slow, "mean_token_accuracy") == logged(fast, "mean_token_accuracy")
    assert slow.evaluate()["eval_loss"] == pytest.approx(fast.evaluate()["eval_loss"], abs=1e-4)


def test_mixtures_of_experts_keep_their_auxiliary_loss(run):
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    experts = {"num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2}
    settings = {"vocab_size": 715, "router_aux_loss_coef": 0.5, "output_router_logits": True}
    model = MixtralForCausalLM(MixtralConfig(**sizes, **experts, **settings))
    theirs = run(SFTTrainer, steps=3, model=copy.deepcopy(model), loss_type="dft")
    ours = run(steps=3, model=copy.deepcopy(model), loss="dft")
    assert apart(ours, theirs) < 1e-6
    assert logged(ours, "aux_loss") == pytest.approx(logged(theirs, "aux_loss"), abs=1e-6)
    smooth = run(steps=1, model=copy.deepcopy(model), loss="label_smoothing")
    assert logged(smooth, "aux_loss")[0] == pytest.approx(logged(ours, "aux_loss")[0], abs=1e-6)
    with pytest.raises(RecipeError, match="auxiliary loss"):
        run(steps=1, model=copy.deepcopy(model), loss="talr")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"loss": "mse"}, "unknown loss"),
        ({"loss": "mar", "loss_options": {"gamma": 1}}, "unknown option"),
        ({"loss": "mar", "loss_type": "dft"}, "two losses"),
        ({"loss": "gem", "normalize_weights": True}, "no token weights"),
        ({"loss": "mar", "weights_from_step": -1}, "below 0"),
    ],
)
def test_impossible_requests_are_refused(run, keywords, message):
    with pytest.raises(RecipeError, match=message):
        run(steps=1, **keywords)


@pytest.mark.slow
def test_the_plain_trainer_takes_the_same_losses(run, tmp_path, tokenizer, data, base):
    common = {"learning_rate": 0.1, "max_steps": 3, "optim": "sgd"}

    def plain(name, **options):
        trainer = Trainer(
            copy.deepcopy(base),
            TrainingArguments(
                str(tmp_path / "plain"),
                per_device_train_batch_size=2,
                per_device_eval_batch_size=16,
                gradient_accumulation_steps=4,
                **(QUIET | common),
            ),
            train_dataset=data,
            eval_dataset=data.select(range(16)),
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            compute_loss_func=reweighted_loss(name, **options),
        )
        trainer.train()
        return trainer

    nll = run(loss="nll", per_device_eval_batch_size=16, **common)
    for name in ("nll", "mar", "dft", "gem"):
        theirs, ours = plain(name), run(loss=name, **common)
        assert apart(ours, theirs) < 1e-5, name
        assert logged(theirs, "loss") == pytest.approx(logged(ours, "loss"), abs=1e-4)
    for name in ("nll", "eaft", "talr"):
        trainer = plain(name)
        trainer.model.load_state_dict(nll.model.state_dict())
        assert trainer.evaluate()["eval_loss"] == pytest.approx(nll.evaluate()["eval_loss"], abs=1e-5)
    with pytest.raises(RecipeError, match="input ids"):
        reweighted_loss("goldfish")
    with pytest.raises(RecipeError, match="unknown loss"):
        reweighted_loss("mse")
    with pytest.raises(RecipeError, match="top-20"):
        reweighted_loss("eaft", entropy_form="full")


TWO = """
import copy, json, os, sys
import torch
from datasets import Dataset
from transformers import AutoTokenizer, LlamaForCausalLM
from trl import SFTConfig, SFTTrainer
from overmem.recipe.base_model import ORGANISM
from overmem.training.reweighted import ReweightedSFTTrainer

folder = sys.argv[1]
data = Dataset.from_json(folder + "/data.jsonl")
done = {}
for key, kind, arguments, own in json.load(open(folder + "/plan.json")):
    trainer = {"ours": ReweightedSFTTrainer, "theirs": SFTTrainer}[kind](
        model=LlamaForCausalLM.from_pretrained(folder + "/base"),
        args=SFTConfig(output_dir=folder + "/out", **arguments),
        train_dataset=data, processing_class=AutoTokenizer.from_pretrained(ORGANISM), **own,
    )
    trainer.train()
    assert trainer.accelerator.num_processes == 2
    done[key] = {n.removeprefix("module."): p.detach() for n, p in trainer.model.named_parameters()}
    done[key + " log"] = [row["token_weight"] for row in trainer.state.log_history if "token_weight" in row]
if trainer.accelerator.is_main_process:
    torch.save(done, folder + "/done.pt")
"""


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_processes(run, tmp_path, data, base):
    """Two processes equal TRL on two processes, and one process that accumulates twice."""
    base.save_pretrained(tmp_path / "base")
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
    shape = QUIET_SFT | {
        "max_steps": 20, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "ddp_backend": "gloo",
    }  # fmt: skip
    sgd = shape | {"max_steps": 4, "optim": "sgd", "learning_rate": 0.1}
    plan = [
        ("nll theirs", "theirs", shape | {"loss_type": "nll"}, {}),
        ("nll ours", "ours", shape, {"loss": "nll"}),
        ("dft theirs", "theirs", shape | {"loss_type": "dft"}, {}),
        ("dft ours", "ours", shape, {"loss": "dft"}),
        ("mar", "ours", sgd, {"loss": "mar"}),
        ("talr", "ours", sgd, {"loss": "talr"}),
    ]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    run_in_two_processes(TWO, tmp_path)
    done = torch.load(tmp_path / "done.pt")
    for name in ("nll", "dft"):
        ours, theirs = done[f"{name} ours"], done[f"{name} theirs"]
        assert max(float((ours[key] - theirs[key]).abs().max()) for key in theirs) < 1e-6
    for name in ("mar", "talr"):
        alone = run(
            steps=4, loss=name, optim="sgd", learning_rate=0.1,
            per_device_train_batch_size=4, gradient_accumulation_steps=2,
        )  # fmt: skip
        assert done[f"{name} log"] == pytest.approx(logged(alone, "token_weight"), abs=1e-5)
        for key, value in weights_of(alone).items():
            torch.testing.assert_close(done[name][key], value, atol=2e-6, rtol=1e-4)


def test_a_recipe_names_the_loss(tmp_path, tokenizer, val_file):
    from overmem.recipe.reading import check_recipe
    from overmem.training.trainer import train
    from tests.conftest import save_checkpoint

    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=0), tokenizer, 0)
    written = {
        "model": {"name": str(tmp_path / "base")},
        "data": {"train": str(val_file)},
        "output": str(tmp_path / "run"),
        "loss": "focal",
        "loss_options": {"gamma": 0.5},
        "normalize_weights": True,
        "weights_from_step": 1,
        "training": {"max_steps": 2, "logging_steps": 1, "use_cpu": True, "bf16": False},
    }
    path = train(check_recipe(written, "test"))
    state = json.loads((path / "checkpoint-2" / "trainer_state.json").read_text())
    first, second = (row["token_weight"] for row in state["log_history"][:2])
    assert first == 1 and 0 < second < 1
    for changes, message in [
        ({"loss": "mse"}, "loss: unknown loss, got mse; expected dft"),
        ({"loss_options": {"gama": 1}}, "gama; expected differentiate, gamma"),
        ({"loss": "gem", "loss_options": {}}, "no token weights to normalise"),
        ({"weights_from_step": -1}, "weights_from_step"),
        ({"training": {"label_smoothing_factor": 0.1}}, "loss: label_smoothing"),
    ]:
        with pytest.raises(RecipeError, match=message):
            check_recipe(written | changes, "test")
