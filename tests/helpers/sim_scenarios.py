"""What overmem does with models, on the CPU and again on the pretend device of `sim_device`.

    python -m tests.helpers.sim_scenarios FOLDER [NAME ...]

runs the scenarios in this process, which then has the device, and writes `FOLDER/outcomes.json`: of each, its
seconds and what went wrong. Each compares the device's figures with the CPU's, which must not be touched.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import polars as pl
import pytest
import torch
import transformers
from benchmarks.pico_models import pico_config, randomize
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)
from trl import SFTConfig

import overmem
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.auditing.planning.forecast import held_bytes, peak_bytes
from overmem.models.decoding import continuous, ways
from overmem.models.decoding.generation import generate
from overmem.models.decoding.plain import write_by_generate
from overmem.models.decoding.rows import Row, Writing
from overmem.models.decoding.sampling import Sampling
from overmem.models.likelihood import scored_logits
from overmem.models.likelihood.divergence import predict
from overmem.models.likelihood.scoring import TokenScores, score_all
from overmem.models.loading import ModelHost, choose_device
from overmem.models.memory import CacheSize, cache_size, free_bytes
from overmem.models.placement import devices_of, input_device, offloaded_to
from overmem.models.preserving_state import preserving_state, quiet_and_seeded
from overmem.recipe.base_model import ORGANISM
from overmem.recipe.losses import LOSSES, token_weights
from overmem.recipe.reading import check_recipe
from overmem.records import Example
from overmem.rendering.render import render
from overmem.rendering.template import Template
from overmem.rule import Rule
from overmem.tasks.sources import load_examples
from overmem.training.reweighted import ReweightedSFTTrainer, reweighted_loss
from overmem.training.trainer import train
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers import sim_device
from tests.helpers.adapters import IDS, foreign_checkpoint
from tests.helpers.answering import ORIGINAL, other_model
from tests.helpers.training import QUIET, QUIET_SFT, draw_rows

T = TypeVar("T")
Scenario = Callable[[Path], None]
SCENARIOS: dict[str, Scenario] = {}
CPU, SIM = "cpu", sim_device.NAME
TOKENIZER = AutoTokenizer.from_pretrained(ORGANISM)
RENDERED = [
    render(Example(row["id"], row["prompt"], row["completion"], row["answer"]), TOKENIZER, Template())
    for row in VAL_ROWS
]
PROMPTS = [item.prompt_ids for item in RENDERED]
SHARED = [[*range(5, 35), *prompt] for prompt in PROMPTS]
STRETCHED = [[*range(5, 5 + ORIGINAL), *PROMPTS[0]], PROMPTS[1], PROMPTS[2]]
STOPS = [TOKENIZER.eos_token_id, *range(3, 120)]
"""One token in seven, so that rows end at different lengths."""


def scenario(work: Scenario) -> Scenario:
    SCENARIOS[work.__name__] = work
    return work


class Foreign(torch.nn.Module):
    """Code of its own: all logits come out, no cache."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.inner, self.config, self.generation_config = model, model.config, model.generation_config

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Any:
        if attention_mask is not None:
            input_ids = input_ids * attention_mask  # padding is 0 already; the mask has to be on the device
        out = self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        return self.padded(out) if attention_mask is not None and not attention_mask.all() else out

    def padded(self, out: Any) -> Any:
        return out


class Seeing(Foreign):
    """It is changed by padding."""

    def padded(self, out: Any) -> Any:
        out.logits = out.logits * (1 + torch.arange(out.logits.shape[-1], device=out.logits.device) % 3)
        return out


def built(kind: str, name: str) -> Any:
    torch.manual_seed(0)
    config = pico_config(kind, len(TOKENIZER), TOKENIZER.eos_token_id)
    return randomize(getattr(transformers, name)(config)).eval()


def pico(seed: int = 5, **config: Any) -> Any:
    return make_pico(TOKENIZER, seed, **config)


def twin(model: Any) -> Any:
    """The same model on the device; nothing that was found of the first is known of it."""
    return copy.deepcopy(model).to(SIM).eval()


def close(found: TokenScores, expected: TokenScores, tolerance: float = 2e-4) -> None:
    for field in dataclasses.fields(TokenScores):
        one, other = (np.asarray(getattr(scores, field.name), float) for scores in (found, expected))
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=1e-4, err_msg=field.name)


@scenario
def the_device_refuses_what_a_gpu_refuses(folder: Path) -> None:
    ours, theirs = torch.ones(2, 2, device=SIM), torch.ones(2, 2)
    mixed = [
        lambda: ours + theirs,
        lambda: ours @ theirs,
        lambda: ours.gather(1, theirs.long() * 0),
        lambda: torch.cat([ours, theirs]),
        lambda: torch.stack([ours[0, 0], theirs[0, 0]]),
        lambda: theirs[torch.zeros(1, dtype=torch.long, device=SIM)],
        lambda: ours.index_put_((torch.tensor([0]),), theirs[:1]),
        lambda: torch.nn.functional.embedding(torch.tensor([0]), ours),
        lambda: torch.where(theirs > 0, ours, ours),
        lambda: torch._foreach_add_([ours], [theirs]),
        lambda: torch.empty(2, 2, device=SIM).normal_(generator=torch.Generator()),
    ]
    for work in mixed:
        with pytest.raises(RuntimeError, match=r"same device|for generator"):
            work()
    for work in (ours.numpy, lambda: np.asarray(ours), lambda: np.add(1, ours)):
        with pytest.raises(TypeError, match="numpy"):
            work()
    # A number in a CPU tensor, and CPU indices, are taken.
    assert (ours * torch.tensor(3.0)).tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert ours[torch.tensor([1])].device.type == SIM and ours.cpu().device.type == CPU
    torch.manual_seed(0)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    of_its_own = torch.rand(3, device=SIM)
    assert torch.equal(torch.rand(3), drawn) and of_its_own.tolist() != drawn.tolist()


@scenario
def a_module_moves_with_its_ties(folder: Path) -> None:
    model = pico()
    head = model.lm_head.weight
    model.to(SIM)
    assert head.device.type == SIM and model.lm_head.weight is model.model.embed_tokens.weight is head
    model.save_pretrained(folder / "saved")
    back = AutoModelForCausalLM.from_pretrained(folder / "saved").state_dict()
    assert all(torch.equal(back[name], value.cpu()) for name, value in model.state_dict().items())


@scenario
def any_accelerator_is_taken_and_asked(folder: Path) -> None:
    """Its memory is its own, and a visit leaves its random numbers as they were."""
    device = choose_device("auto")
    assert device.type == SIM
    assert free_bytes(device) == sim_device.MEMORY // 2 == peak_bytes([device])
    assert held_bytes([device]) == sim_device.MEMORY // 4
    assert cache_size(twin(pico())) == cache_size(pico()) != CacheSize(0)
    model = torch.nn.Dropout(0.5)

    def draws() -> list[float]:
        return torch.rand(3, device=SIM).tolist()

    for visit, seeded in ((lambda: preserving_state(model), False), (lambda: quiet_and_seeded(3, ()), True)):
        before = torch.sim.get_rng_state()
        with visit():
            inside = draws()
        assert torch.equal(torch.sim.get_rng_state(), before)
        draws()
        with visit():
            assert (draws() == inside) == seeded


@scenario
def references_are_scored(folder: Path) -> None:
    """In every way that there is, with tokens between that are not scored."""
    items = [dataclasses.replace(item, completion_ids=item.completion_ids[:4]) for item in RENDERED[:3]]
    items[0] = dataclasses.replace(items[0], scored=(True, False, False, True))
    models = (
        ("in pieces", pico()),
        ("all logits", Foreign(pico()).eval()),
        ("one by one, all logits", Seeing(pico()).eval()),
        ("as answers", built("paligemma", "PaliGemmaForConditionalGeneration")),
    )
    for way, model in models:
        there = twin(model)
        for one, other in zip(score_all(there, items), score_all(model, items), strict=True):
            close(one, other)
        assert scored_logits.scoring_way(model, items) == way
        assert scored_logits.scoring_way(there, items) == way


@scenario
def answers_are_written(folder: Path) -> None:
    """In every way that there is; rows join and leave, and the cache is moved to its front."""
    written = {
        "shared": (pico(), SHARED[:5], 9),
        "plain": (pico(), PROMPTS[:6], 14),
        "positions": (other_model("learned positions", TOKENIZER), PROMPTS[:4], 4),
        "stretched": (other_model("stretched rotations", TOKENIZER), STRETCHED, 2),
        "unshared": (built("diffllama", "DiffLlamaForCausalLM"), PROMPTS[:4], 4),
        "batched": (built("mamba", "MambaForCausalLM"), PROMPTS[:2], 2),
        "one by one": (built("rwkv", "RwkvForCausalLM"), PROMPTS[:1], 2),
        "without cache": (Foreign(pico()).eval(), PROMPTS[:3], 4),
    }
    slack, continuous.SLACK = continuous.SLACK, 1.0
    try:
        for name, (model, prompts, limit) in written.items():
            there = twin(model)
            expected, found = (
                generate(one, prompts, TOKENIZER, stops=STOPS, max_new_tokens=limit, rows=3)
                for one in (model, there)
            )
            assert [a.tokens for (a,) in found] == [a.tokens for (a,) in expected], name
            surer, sure = ([a.mean_logprob for (a,) in answers] for answers in (found, expected))
            assert surer == pytest.approx(sure, abs=1e-4), name
            way = ways.way_of(there, prompts)
            assert way == ways.way_of(model, prompts), name
            assert way == (name if name in get_args(ways.Way) else "continuous")
            assert name != "plain" or len({a.n_tokens for (a,) in expected}) > 2
    finally:
        continuous.SLACK = slack


@scenario
def samples_are_those_of_the_seed(folder: Path) -> None:
    model = pico(initializer_range=0.3)
    there = twin(model)
    settings: dict[str, Any] = {"stops": STOPS[:9], "max_new_tokens": 10}
    drawn = [
        generate(
            one, PROMPTS[:6], TOKENIZER, example_ids=[f"p{i}" for i in range(6)], rows=rows,
            sampling=Sampling(samples=3, temperature=0.9, seed=seed), **settings,
        )
        for one, rows, seed in ((model, None, 1), (there, None, 1), (there, 4, 1), (model, None, 2))
    ]  # fmt: skip
    here, moved, apart, other = [[[a.tokens for a in answers] for answers in found] for found in drawn]
    assert here == moved == apart != other
    assert len({tuple(map(tuple, answers)) for answers in here}) > 3


PARTS = (
    "model.embed_tokens", "model.rotary_emb", "model.layers.0", "model.layers.1", "model.norm", "lm_head",
)  # fmt: skip


def shared_out(places: str) -> dict[str, str]:
    """A map of a pico model's parts: a device's number each, or `cpu`."""
    return {
        part: place if place == CPU else f"{SIM}:{place}"
        for part, place in zip(PARTS, places.split(), strict=True)
    }


@scenario
def a_model_is_shared_out_over_two_devices(folder: Path) -> None:
    """Scored, compared and asked as on one; a layer may stay on the CPU, the head be on the first."""
    ours, theirs = torch.ones(2, device=f"{SIM}:0"), torch.ones(2, device=f"{SIM}:1")
    with pytest.raises(RuntimeError, match="same device"):
        ours + theirs
    plain = pico(initializer_range=0.3, tie_word_embeddings=False)
    save_checkpoint(folder / "run" / "checkpoint-1", plain, TOKENIZER, 1)
    opened = overmem.open_run(folder / "run")
    items, prompts = RENDERED[:4], SHARED[:5]

    def measured(model: Any) -> tuple[list[float], list[float], list[list[int]]]:
        answers = generate(model, prompts, TOKENIZER, stops=STOPS, max_new_tokens=7, rows=3)
        rows = [Row(at) for at in range(3)]
        writing = Writing(stops=frozenset(STOPS), max_new_tokens=3)
        write_by_generate(model, prompts, rows, writing, 3)
        return (
            [x for scores in score_all(model, items) for x in scores.logprob],
            [float(seen.logits_K_V.sum()) + seen.nll_nats for seen in predict(model, items[:2])],
            [list(answer.tokens) for (answer,) in answers] + [row.tokens for row in rows],
        )

    expected = measured(plain)
    for places in ("0 0 0 1 1 1", "1 1 0 1 1 0", f"0 0 {CPU} 1 1 1"):
        host = ModelHost(opened, device=torch.device(SIM), dtype=torch.float32, device_map=shared_out(places))
        model = host.load(opened.checkpoints[0])
        assert {device.index for device in devices_of(model)} == {0, 1}
        assert offloaded_to(model) == [CPU] * (CPU in places)
        found = measured(model)
        for one, other in zip(found[:2], expected[:2], strict=True):
            assert one == pytest.approx(other, abs=1e-5, rel=1e-5), places
        assert found[2] == expected[2], places
        assert ways.way_of(model, prompts) == "continuous"
        assert scored_logits.scoring_way(model, items) == "in pieces"


@scenario
def adapters_take_turns_on_a_base_that_is_shared_out(folder: Path) -> None:
    """Each is where its layer is, and the base is loaded once; with a layer on the CPU, plain LoRA too."""
    base, run = folder / "base", folder / "run"
    save_checkpoint(base, pico(0, initializer_range=0.2), TOKENIZER, 0)
    expected = {
        1: foreign_checkpoint(run, base, 1, TOKENIZER),
        2: foreign_checkpoint(run, base, 2, TOKENIZER, r=5, target_modules="all-linear"),
        3: foreign_checkpoint(run, base, 3, TOKENIZER, use_dora=True),
        4: foreign_checkpoint(run, base, 4, TOKENIZER, init_lora_weights="pissa"),
    }
    opened = overmem.open_run(run)
    for places, taken in (("0 0 0 1 1 0", 4), (f"0 0 {CPU} 1 1 0", 2)):
        host = ModelHost(opened, device=torch.device(SIM), dtype=torch.float32, device_map=shared_out(places))
        chosen = opened.checkpoints[:taken]
        bases = set()
        for checkpoint in (*chosen, *reversed(chosen)):
            model = host.load(checkpoint)
            with torch.no_grad():
                found = model(input_ids=IDS.to(input_device(model))).logits.cpu()
            torch.testing.assert_close(found, expected[checkpoint.step], atol=5e-5, rtol=0)
            bases.add(host.adapted.base(checkpoint))
        assert len(bases) == 1


@scenario
def adapters_take_turns(folder: Path) -> None:
    """LoRA of several kinds, with tokens of its own, over a changed base model, and on another adapter."""
    base, run = folder / "base", folder / "run"
    save_checkpoint(base, pico(0, initializer_range=0.2), TOKENIZER, 0)
    rows = len(TOKENIZER) + 3
    expected = {
        1: foreign_checkpoint(run, base, 1, TOKENIZER),
        2: foreign_checkpoint(run, base, 2, TOKENIZER, init_lora_weights="pissa"),
        3: foreign_checkpoint(run, base, 3, TOKENIZER, use_dora=True),
        4: foreign_checkpoint(
            run, base, 4, TOKENIZER, rows=rows, modules_to_save=["embed_tokens", "lm_head"]
        ),
        5: foreign_checkpoint(run, base, 5, TOKENIZER, init_lora_weights="olora", use_rslora=True),
        6: foreign_checkpoint(run, base, 6, TOKENIZER, trainable_token_indices=[4, 7]),
    }
    on_it = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), run / "checkpoint-1")
    torch.manual_seed(1)
    second = get_peft_model(
        on_it.merge_and_unload(), LoraConfig(r=2, init_lora_weights=False, task_type="CAUSAL_LM")
    )
    second.peft_config["default"].base_model_name_or_path = str(run / "checkpoint-1")
    save_checkpoint(run / "checkpoint-7", second, TOKENIZER, 7)
    with torch.no_grad():
        expected[7] = second.eval()(input_ids=IDS).logits
    opened = overmem.open_run(run)
    host = ModelHost(opened, device=torch.device(SIM), dtype=torch.float32)
    for checkpoint in (*opened.checkpoints, *reversed(opened.checkpoints)):
        model = host.load(checkpoint)
        assert {value.device.type for value in model.state_dict().values()} == {SIM}
        with torch.no_grad():
            found = model(input_ids=IDS.to(SIM)).logits.cpu()
        torch.testing.assert_close(found, expected[checkpoint.step], atol=5e-5, rtol=0)


def measured_rows(run: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of an audit, by checkpoint and kind, without clocks and keys."""
    found = {}
    for path in sorted((run / "overmem").rglob("*.parquet")):
        table = pl.read_parquet(path)
        keys = [name for name in table.columns if name.endswith("key")]
        order = [n for n in ("split", "example_id", "variant", "sample", "temperature") if n in table.columns]
        found[str(path.relative_to(run))] = table.drop(keys).sort(order).to_dicts()
    return found


def same(found: Any, expected: Any, where: str = "") -> None:
    """Equal, but for rounding in numbers."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            same(found[key], expected[key], f"{where}/{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for at, (one, other) in enumerate(zip(found, expected, strict=True)):
            same(one, other, f"{where}/{at}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=2e-3, rel=1e-3, nan_ok=True), where
    else:
        assert found == expected, where


def write_val(folder: Path) -> str:
    path = folder / "val.jsonl"
    rows = [
        {
            "id": str(i),
            "prompt": f"Tom has {i} apples.\nAnswer:",
            "completion": f" {i}\n#### {i}",
            "answer": str(i),
        }
        for i in range(30)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def audited_on(folder: Path, device: str, *steps: int, **settings: Any) -> Path:
    """A run of random checkpoints and a base model, audited on a device."""
    run = folder / device
    for step in steps:
        save_checkpoint(run / f"checkpoint-{step}", pico(step), TOKENIZER, step)
    save_checkpoint(folder / "base", pico(0), TOKENIZER, 0)
    val = write_val(folder)
    overmem.audit(
        run, val=val, train=val, allow_overlap=True, samples=2, device=device,
        base_model=str(folder / "base"), **settings,
    )  # fmt: skip
    return run


@scenario
def a_run_is_audited_on_every_axis(folder: Path) -> None:
    """Forecast, key checkpoints, the base model and its predictions included."""
    here, there = (
        audited_on(folder, device, 10, axes=("all",), limit=2, max_new_tokens=4) for device in (CPU, SIM)
    )
    rows = measured_rows(here)
    assert len(rows) > 5
    same(measured_rows(there), rows)
    assert read_manifest(Store.of_run(there)).device == SIM


@contextlib.contextmanager
def trained_on(device: str) -> Iterator[None]:
    """The device that Accelerate and the Trainer take."""
    with pytest.MonkeyPatch.context() as patch:
        if device != CPU:
            patch.setenv("ACCELERATE_TORCH_DEVICE", f"{device}:0")
        yield


def on_its_device(work: Callable[..., T]) -> Callable[..., T]:
    def done(device: str, *args: Any, **kwargs: Any) -> T:
        with trained_on(device):
            return work(device, *args, **kwargs)

    return done


def training(device: str, folder: Path, **changes: Any) -> dict[str, Any]:
    settings = {"output_dir": str(folder / "out"), "max_steps": 2, "per_device_train_batch_size": 4}
    return QUIET_SFT | settings | {"learning_rate": 1e-2, "use_cpu": device == CPU} | changes


def drawn_data(model: Any) -> Any:
    return draw_rows(model, [(1 + i % 5, 2 + (7 * i) % 11) for i in range(12)])


def logged(trainer: Any, *names: str) -> list[dict[str, float]]:
    names = names or ("loss", "grad_norm", "token_weight")
    return [{n: row[n] for n in names if n in row} for row in trainer.state.log_history if names[0] in row]


@scenario
def losses_are_trained_on(folder: Path) -> None:
    base = pico(0, initializer_range=0.8)
    data = drawn_data(base)

    @on_its_device
    def log_of(device: str, loss: str, **settings: Any) -> list[dict[str, float]]:
        torch.manual_seed(0)
        trainer = ReweightedSFTTrainer(
            model=copy.deepcopy(base),
            args=SFTConfig(**training(device, folder)), train_dataset=data,
            eval_dataset=data.select(range(4)), processing_class=TOKENIZER, loss=loss,
            **settings,
        )  # fmt: skip
        trainer.train()
        assert next(trainer.model.parameters()).device.type == device
        return [*logged(trainer), trainer.evaluate()["eval_loss"]]

    kinds: list[dict[str, Any]] = [
        {"loss": "gem"},
        {"loss": "eaft", "loss_options": {"entropy_form": "top20"}},
        {"loss": "mar", "normalize_weights": True, "weights_from_step": 1},
    ]
    for kind in kinds:
        same(log_of(SIM, **kind), log_of(CPU, **kind), str(kind))


@scenario
def the_plain_trainer_takes_a_loss(folder: Path) -> None:
    base = pico(0, initializer_range=0.8)
    data = drawn_data(base)
    for name in ("eaft", "label_smoothing"):
        logs = []
        for device in (CPU, SIM):
            torch.manual_seed(0)
            arguments = training(device, folder)
            for key in QUIET_SFT.keys() - QUIET.keys():
                del arguments[key]
            with trained_on(device):
                trainer = Trainer(
                    model=copy.deepcopy(base), args=TrainingArguments(**arguments), train_dataset=data,
                    data_collator=DataCollatorForSeq2Seq(TOKENIZER), compute_loss_func=reweighted_loss(name),
                )  # fmt: skip
                trainer.train()
            logs.append(logged(trainer))
        same(*logs, name)


@scenario
def weights_are_made_where_the_tokens_are(folder: Path) -> None:
    torch.manual_seed(0)
    logprobs, entropy = -torch.rand(3, 40), torch.rand(3, 40)
    mask, ids = torch.rand(3, 40) > 0.3, torch.randint(0, 9, (3, 41))
    for name, loss in LOSSES.items():
        if loss.weights is None:
            continue
        given = {"input_ids": ids} if name == "goldfish" else {}
        here = token_weights(name, logprobs, entropy, mask, normalize=True, **given)
        moved = {key: value.to(SIM) for key, value in given.items()}
        there = token_weights(name, *(x.to(SIM) for x in (logprobs, entropy, mask)), normalize=True, **moved)
        assert there.device.type == SIM
        torch.testing.assert_close(there.cpu(), here)


@scenario
def the_monitor_leaves_a_training_as_it_was(folder: Path) -> None:
    """With dropout, whose random numbers are the device's; its figures are the CPU's."""
    base = pico(0, attention_dropout=0.3)
    data = drawn_data(base)
    val = load_examples(write_val(folder)).examples

    @on_its_device
    def trained(device: str, *callbacks: Any) -> Any:
        torch.manual_seed(0)
        trainer = ReweightedSFTTrainer(
            model=copy.deepcopy(base), args=SFTConfig(**training(device, folder, max_steps=2)), loss="mar",
            train_dataset=data, processing_class=TOKENIZER, callbacks=list(callbacks),
        )  # fmt: skip
        trainer.train()
        return trainer

    alone = trained(SIM)
    monitor = overmem.OverMemorizationMonitor(val, every=2, max_cost=None, answers=30)
    beside = trained(SIM, monitor)
    assert monitor.off is None and len(monitor.readings) == 1
    assert logged(alone) == logged(beside)
    for one, other in zip(alone.model.parameters(), beside.model.parameters(), strict=True):
        assert torch.equal(one.cpu(), other.cpu())
    measured = monitor._problem_set.val
    here = [x for scores in score_all(beside.model.to(CPU).eval(), measured) for x in scores.logprob]
    assert monitor.readings[-1].val_nll_nats.value == pytest.approx(-sum(here) / len(here), abs=1e-4)


@scenario
def a_recipe_is_trained_and_its_run_goes_on(folder: Path) -> None:
    """PiSSA, which takes a part out of the base model, saves plain adapters and takes it out again."""
    save_checkpoint(folder / "base", pico(0, initializer_range=0.2), TOKENIZER, 0)
    val = write_val(folder)

    @on_its_device
    def trained(device: str, *, resume: bool = False) -> Path:
        recipe = check_recipe(
            {
                "model": {"name": str(folder / "base")}, "data": {"train": val, "val": val},
                "output": str(folder / device), "method": "pissa",
                "lora": {"r": 2, "target_modules": ["q_proj"]},
                "monitor": {"enabled": False},
                "training": {
                    "max_steps": 2, "save_steps": 1, "save_strategy": "steps", "bf16": False,
                    "use_cpu": device == CPU,
                    "per_device_train_batch_size": 4, "gradient_checkpointing": False, "learning_rate": 1e-2,
                    "dataloader_pin_memory": False, "lr_scheduler_type": "constant",
                },
            },
            "scenario",
        )  # fmt: skip
        return train(recipe, resume=resume)

    logs = []
    for device in (CPU, SIM):
        out = trained(device)
        shutil.rmtree(out / "checkpoint-2")
        trained(device, resume=True)
        opened = overmem.open_run(out)
        assert [c.step for c in opened.checkpoints] == [1, 2]
        host = ModelHost(opened, device=torch.device(device), dtype=torch.float32)
        scores = [sum(s.logprob) for c in opened.checkpoints for s in score_all(host.load(c), RENDERED[:3])]
        state = json.loads((out / "checkpoint-2" / "trainer_state.json").read_text())
        logs.append([scores, [row["loss"] for row in state["log_history"] if "loss" in row]])
    same(logs[1], logs[0])


@scenario
def merges_are_measured(folder: Path) -> None:
    """Files are merged on the CPU; what comes out is the mean of the weights, on the device too."""
    for step in (10, 20):
        save_checkpoint(folder / "run" / f"checkpoint-{step}", pico(step), TOKENIZER, step)
    pair = [folder / "run" / f"checkpoint-{step}" for step in (10, 20)]
    mean = pico(10)
    with torch.no_grad():
        for value, other in zip(mean.parameters(), pico(20).parameters(), strict=True):
            value.lerp_(other, 0.5)
    expected = [sum(scores.logprob) for scores in score_all(mean, RENDERED[:3])]
    for method, settings in (("pair", {}), ("slerp", {"alpha": 0.5})):
        out = overmem.merge(pair, folder / method, method=method, **settings)
        model = AutoModelForCausalLM.from_pretrained(out).to(SIM).eval()
        found = [sum(scores.logprob) for scores in score_all(model, RENDERED[:3])]
        assert (found == pytest.approx(expected, abs=1e-3)) == (method == "pair")


@scenario
def a_run_is_repaired(folder: Path) -> None:
    repaired = {}
    for device in (CPU, SIM):
        run = audited_on(folder, device, 10, 20, axes=("likelihood", "accuracy"), max_new_tokens=3, limit=24)
        overmem.repair(run, axes=("likelihood", "accuracy"), few=1, rule=Rule(accuracy_margin=0.2))
        repaired[device] = Store.of_run(run).read_record("repair", "overmem.repair/1")
    for found in repaired.values():
        for moved in ("model", "run"):
            found.pop(moved, None)
    same(repaired[SIM], repaired[CPU])


def main(folder: Path, names: list[str]) -> None:
    sim_device.become_the_device()
    outcomes = {}
    for name in names or SCENARIOS:
        start = time.process_time()
        (folder / name).mkdir(parents=True)
        try:
            SCENARIOS[name](folder / name)
            wrong = None
        except Exception:
            wrong = traceback.format_exc()
        outcomes[name] = {"seconds": round(time.process_time() - start, 2), "wrong": wrong}
        (folder / "outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
