"""The snippets of docs/losses.md do what the page says: run as they stand, on a pico model."""

import copy
import re
import sys
from types import ModuleType

import pytest
import torch
import yaml
from torch.nn.functional import cross_entropy
from transformers import DataCollatorForSeq2Seq, TrainingArguments
from trl import SFTConfig

from overmem.recipe.losses import LOSSES
from overmem.recipe.reading import load_recipe
from tests.conftest import make_pico
from tests.helpers.paths import ROOT
from tests.helpers.training import QUIET, draw_rows

PAGE = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
ROWS = [(2 + i % 4, 3 + (5 * i) % 11) for i in range(16)]
"""Lengths of prompt and completion."""


def snippet(heading: str, language: str = "python") -> str:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (code,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return code


@pytest.fixture(scope="module")
def base(tokenizer):
    return make_pico(tokenizer, seed=0, initializer_range=0.8)


@pytest.fixture(scope="module")
def data(base):
    return draw_rows(base, ROWS)


@pytest.fixture(scope="module")
def nll_and_p(base, data, tokenizer):
    """NLL and probability of every trained token before training, written out."""
    batch = DataCollatorForSeq2Seq(tokenizer)([data[i] for i in range(len(data))])
    with torch.no_grad():
        logits = base(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    labels = batch["labels"][:, 1:]
    kept = labels != -100
    nll = cross_entropy(logits[kept], labels[kept], reduction="none")
    return nll, torch.exp(-nll)


@pytest.fixture
def surroundings(tmp_path, base, data, tokenizer):
    """The names that the page takes for granted; one step over all rows, in four uneven micro-batches."""

    def make(kind=TrainingArguments, **changes):
        arguments = QUIET | {
            "output_dir": str(tmp_path / "out"),
            "max_steps": 1,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 4,
        }
        return {
            "model": copy.deepcopy(base),
            "args": kind(**(arguments | changes)),
            "train_dataset": data,
            "tokenizer": tokenizer,
            "collator": DataCollatorForSeq2Seq(tokenizer),
        }

    return make


def first_log(names):
    return next(row for row in names["trainer"].state.log_history if "loss" in row)


def test_the_plain_trainer_minimises_mar(surroundings, nll_and_p):
    names = surroundings()
    exec(snippet("The plain HF Trainer"), names)
    nll, p = nll_and_p
    assert first_log(names)["loss"] == pytest.approx(float(((1 - p) * nll).mean()), abs=1e-4)
    assert first_log(names)["loss"] < 0.95 * float(nll.mean())
    assert "token_weight" not in first_log(names)


def test_trl_minimises_focal_and_logs_the_mean_weight(surroundings, nll_and_p):
    names = surroundings(SFTConfig, max_length=None, gradient_checkpointing=False)
    exec(snippet("TRL"), names)
    nll, p = nll_and_p
    weights = (1 - p) ** 0.5
    assert first_log(names)["loss"] == pytest.approx(float((weights * nll).mean()), abs=1e-4)
    assert first_log(names)["token_weight"] == pytest.approx(float(weights.mean()), abs=1e-4)


def stand_in(monkeypatch, name, **members):
    """A module that is not installed here, with its packages."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        if path not in sys.modules:
            monkeypatch.setitem(sys.modules, path, ModuleType(path))
        if end > 1:
            parent = sys.modules[".".join(parts[: end - 1])]
            monkeypatch.setattr(parent, parts[end - 1], sys.modules[path], raising=False)
    for key, value in members.items():
        monkeypatch.setattr(sys.modules[name], key, value, raising=False)


def is_mar(loss) -> bool:
    """Whether a loss function of (outputs, labels, number of tokens) is the sum of (1 - p) ell over them."""
    logits = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[-100, -100, 3, 1, 6], [-100, 2, 2, 5, -100]])
    kept = labels[:, 1:] != -100
    nll = cross_entropy(logits[:, :-1][kept], labels[:, 1:][kept], reduction="none")
    value = loss(type("Outputs", (), {"logits": logits}), labels, num_items_in_batch=torch.tensor(9))
    return value.item() == pytest.approx(float(((1 - torch.exp(-nll)) * nll).sum() / 9), abs=1e-6)


def test_llama_factory_s_trainer_is_given_mar(monkeypatch):
    given = []
    workflow = "llamafactory.train.sft.workflow"

    def run_exp():
        sys.modules[workflow].CustomSeq2SeqTrainer(model="m")

    stand_in(monkeypatch, workflow, CustomSeq2SeqTrainer=lambda **keywords: given.append(keywords))
    stand_in(monkeypatch, "llamafactory.train.tuner", run_exp=run_exp)
    exec(snippet("LLaMA-Factory"), {})
    assert given[0]["model"] == "m" and is_mar(given[0]["compute_loss_func"])


def test_axolotl_s_trainer_is_given_mar(monkeypatch):
    stand_in(monkeypatch, "axolotl.integrations.base", BasePlugin=object)
    names = {"__name__": "overmem_axolotl"}
    exec(snippet("Axolotl"), names)
    trainer = type("Trainer", (), {})()
    names["OvermemLoss"]().post_trainer_create({}, trainer)
    assert is_mar(trainer.compute_loss_func)


def test_the_recipe_s_keys_exist():
    written = yaml.safe_load(snippet("From the command line", "yaml"))
    recipe = load_recipe("organism-fast", written)
    assert {key: getattr(recipe, key) for key in written} == written


def test_the_table_has_every_loss_with_its_options_and_source():
    rows = {cells[1].strip(" `"): cells for line in PAGE.splitlines() if len(cells := line.split("|")) == 7}
    assert set(LOSSES) <= set(rows)
    for name, loss in LOSSES.items():
        _, _, _, options, _, source, _ = rows[name]
        written = dict(re.findall(r"`(\w+)` \((\w+(?:\.\d+)?)", options))
        assert written == {key: str(option.default).lower() for key, option in loss.options.items()}, name
        assert loss.source in source, name
