"""The axis `retention` end to end on pico models: the base model answers once, and everybody is compared.

Covers: overmem.auditing.made_sets.retention_sets
"""

import copy
import json
import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from typer.testing import CliRunner

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.auditing.jobs import compute_rows as work
from overmem.auditing.made_sets.retention_sets import as_asked_before, default_retention
from overmem.auditing.opening import open_session
from overmem.auditing.options import AuditOptions, saved_options
from overmem.auditing.planning.cost import Peaks
from overmem.auditing.planning.forecast import forecast
from overmem.auditing.resolve import resolve_options
from overmem.cli.app import app
from overmem.errors import DataError, RunError
from overmem.models.likelihood.divergence import kl_nats
from overmem.models.loading import ModelHost
from overmem.rendering.template import Template
from overmem.verdict.costs import measure_axes
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.tokenizers import CHATML, make_tokenizer

QUICK = {"axes": ("retention",), "checkpoints": "all", "max_new_tokens": 6, "limit": 5}
SETS = ("retention/problems", "retention/sums", "val")


@pytest.fixture
def base(tmp_path, tokenizer):
    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=0, initializer_range=0.2), tokenizer, 0)
    return str(tmp_path / "base")


def adapted(base, step):
    """The base model under an adapter that has moved."""
    torch.manual_seed(step)
    config = LoraConfig(r=2, lora_alpha=16, init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(overmem_model(base), config)
    model.peft_config["default"].base_model_name_or_path = base
    return model


def overmem_model(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def divergences(done, name):
    return done.store.read_rows(name, "divergences").sort("split", "example_id")


def figures(done, name):
    [evidence] = align_evidence([MeasuredCheckpoint(done.store, done.manifest, name)])
    return {name: m.value() for name, m in measure_axes(evidence, ["retention"])["retention"].items()}


def test_every_checkpoint_is_compared_with_what_the_base_model_says(pico_run, val_file, base, tokenizer):
    done = overmem.audit(pico_run, val=str(val_file), base_model=base, **QUICK)
    texts = done.store.read_texts()
    said = done.store.read_rows("base", "generations")
    assert set(said["split"]) == set(SETS) and len(said) == 15
    model, opened = overmem_model(base), overmem_model(pico_run / "checkpoint-20")
    rows = divergences(done, "checkpoint-20")
    assert set(rows["split"]) == {f"base_answers/{name}" for name in SETS}
    for row in rows.to_dicts():
        asked = row["split"].removeprefix("base_answers/")
        [answer] = said.filter(split=asked, example_id=row["example_id"]).to_dicts()
        [text] = texts.filter(set=asked, example_id=row["example_id"]).to_dicts()
        prompt, ids = (
            tokenizer(t, add_special_tokens=False)["input_ids"] for t in (text["prompt"], answer["text"])
        )
        ids += [tokenizer.eos_token_id] if answer["finished"] else []
        both = []
        for one in (model, opened):
            with torch.inference_mode():
                both.append(one(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1])
        nll = [torch.nn.functional.cross_entropy(b, torch.tensor(ids), reduction="sum").item() for b in both]
        assert row["n_tokens"] == row["n_compared"] == len(ids)
        assert [row["base_nll_nats"], row["nll_nats"]] == pytest.approx(nll, abs=1e-3)
        assert row["kl_nats"] == pytest.approx(kl_nats(*both).sum().item(), abs=1e-3)
    found = figures(done, "checkpoint-20")
    assert (
        found["kl"] == pytest.approx((found["kl_sums"] + found["kl_problems"]) / 2) and found["kl_val"] > 0.1
    )
    assert {"accuracy_loss_sums", "format_loss", "loop_rise", "endless_rise", "nll_rise_val"} <= set(found)
    # The base model against itself: rows of its own, at 0.
    own = divergences(done, "base")
    assert len(own) == 15 and own["kl_nats"].abs().max() == 0
    assert (own["nll_nats"] - own["base_nll_nats"]).abs().max() == 0
    # The verdict has every figure against the base model, the checkpoint's own and paired.
    verdict = overmem.diagnose(done)
    for compared in verdict.base.comparisons:
        mine = {cost.measure: cost for cost in compared.differences if cost.axis == "retention"}
        own = figures(done, compared.checkpoint)
        assert set(mine) == set(own) and sum(cost.headline for cost in mine.values()) == 1
        assert {name: cost.difference.value for name, cost in mine.items()} == pytest.approx(own)
        assert all(cost.reference_value == 0 for cost in mine.values())
        assert mine["kl"].outcome == "worse" and mine["kl_val"].outcome == "changed"
    # What it predicted is large, and gone once it was used.
    assert not done.store.base_predictions.exists()


@pytest.mark.exhaustive
def test_a_base_that_is_a_checkpoint_of_the_run_has_lost_nothing(tmp_path, pico_run, val_file, tokenizer):
    save_checkpoint(pico_run / "checkpoint-0", make_pico(tokenizer, seed=5), tokenizer, 0)
    done = overmem.audit(pico_run, val=str(val_file), **QUICK)
    assert done.manifest.base.name == "checkpoint-0"
    at_base, later = figures(done, "checkpoint-0"), figures(done, "checkpoint-100")
    assert set(at_base) == set(later) and set(at_base.values()) == {0.0}
    assert later["kl_val"] > 0 and later["nll_rise"] != 0
    assert any(cost.axis == "retention" and cost.headline for cost in overmem.diagnose(done).costs) or (
        overmem.diagnose(done).recommended is None
    )


@pytest.mark.exhaustive
def test_an_adapter_has_moved_as_far_as_its_merged_model(tmp_path, base, val_file, tokenizer):
    for step in (10, 20):
        model = adapted(base, step)
        save_checkpoint(tmp_path / "adapters" / f"checkpoint-{step}", model, tokenizer, step)
        save_checkpoint(tmp_path / "whole" / f"checkpoint-{step}", model.merge_and_unload(), tokenizer, step)
    by_adapter = overmem.audit(tmp_path / "adapters", val=str(val_file), **QUICK)
    assert by_adapter.manifest.base.model == base
    whole = overmem.audit(tmp_path / "whole", val=str(val_file), base_model=base, **QUICK)
    for name in ("checkpoint-10", "checkpoint-20"):
        ours, theirs = figures(by_adapter, name), figures(whole, name)
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4) and ours["kl"] > 0.01


def test_nothing_is_computed_twice_and_a_larger_limit_adds(pico_run, val_file, base, monkeypatch):
    given = {"val": str(val_file), "base_model": base, **QUICK}
    first = overmem.audit(pico_run, **given)
    before = divergences(first, "checkpoint-10")
    with monkeypatch.context() as patch:
        patch.setattr(ModelHost, "load", lambda *_: pytest.fail("a model was loaded though all is there"))
        again = overmem.audit(pico_run, **given)
    assert again.manifest.base == first.manifest.base and again.manifest.splits == first.manifest.splits
    more = overmem.audit(pico_run, **(given | {"limit": 8}))
    after = divergences(more, "checkpoint-10")
    assert len(after) == 24 and before.join(after, on=["split", "example_id"], how="semi").height == 15
    # A sitting on another axis keeps what is known of the base model.
    other = overmem.audit(
        pico_run, **(given | {"axes": ("calibration",), "samples": 2, "grader": "regex:([a-z])"})
    )
    assert other.manifest.base.row_keys == more.manifest.base.row_keys


@pytest.fixture
def killed(pico_run, val_file, base, monkeypatch):
    """An audit that ended while the first checkpoint was compared, and its options."""
    given = {"val": str(val_file), "base_model": base, **QUICK}
    done, compared = work.WORK["diverge"], []

    def breaks(model, problems, batch, tools):
        if len(compared) == 3 + 1:  # the base model's three sets, and one of the first checkpoint's
            raise KeyboardInterrupt
        compared.append(problems.set)
        return done(model, problems, batch, tools)

    with monkeypatch.context() as patch:
        patch.setitem(work.WORK, "diverge", breaks)
        with pytest.raises(KeyboardInterrupt):
            overmem.audit(pico_run, **given)
    return given


def test_a_killed_audit_goes_on_with_what_the_base_model_predicted(pico_run, killed, monkeypatch):
    folder = pico_run / "overmem" / ".base_predictions"
    kept = {file.stem for file in folder.rglob("*.safetensors")}
    assert len(kept) == 12  # five of each set beside the task, and the two prompts that five of val have
    loads = []
    load = ModelHost.load
    monkeypatch.setattr(ModelHost, "load", lambda host, c: loads.append(c.name) or load(host, c))
    finished = overmem.audit(pico_run, **killed)
    assert "base" not in loads and len(divergences(finished, "checkpoint-100")) == 15
    assert not folder.exists()


def test_what_another_base_model_predicted_is_not_taken(tmp_path, pico_run, killed, tokenizer):
    """Of the same answers, which it is less sure of."""
    other = overmem_model(killed["base_model"])
    with torch.no_grad():
        other.model.norm.weight *= 0.9
    save_checkpoint(tmp_path / "other", other, tokenizer, 0)
    done = overmem.audit(pico_run, **(killed | {"base_model": str(tmp_path / "other")}))
    said = done.store.read_texts().filter(set="base_answers/val")
    assert set(said["completion"]) == {
        text for text in done.store.read_rows("base", "generations").filter(split="val")["text"]
    }
    assert divergences(done, "base")["kl_nats"].abs().max() == 0


def test_named_sets_come_on_top_and_are_asked_as_the_base_model_was(tmp_path, pico_run, val_file, base):
    own = tmp_path / "own.jsonl"
    own.write_text(
        "".join(json.dumps(row | {"prompt": f"Say {i}."}) + "\n" for i, row in enumerate(VAL_ROWS))
    )
    given = QUICK | {"axes": ("likelihood", "accuracy"), "template": Template(prompt_format="TASK {prompt}")}
    done = overmem.audit(pico_run, val=str(val_file), base_model=base, retention={"own": str(own)}, **given)
    assert "retention" in done.manifest.axes
    assert set(saved_options(done.manifest).retention) == {"own", "sums", "problems"}
    texts = done.store.read_texts()
    assert texts.filter(set="retention/own")["prompt"].to_list()[0] == "Say 0."
    assert texts.filter(set="val")["prompt"].to_list()[0].startswith("TASK ")
    assert "kl_own" in figures(done, "checkpoint-10")


def test_the_default_sets_follow_the_vocabulary(tokenizer):
    assert set(default_retention(tokenizer)) == {"sums", "problems"}
    chat = make_tokenizer(template=CHATML)
    assert default_retention(chat) == {"general": "instructions:general"}
    asked = as_asked_before(Template(prompt_format="Q {prompt}", system=None, max_length=40), chat)
    assert (asked.kind, asked.prompt_format, asked.max_length) == ("chat", "{prompt}", None)
    assert as_asked_before(Template(), tokenizer).kind == "plain"
    grown = copy.deepcopy(tokenizer)
    grown.add_tokens(["<think>"])
    assert set(default_retention(grown)) == {"general"}


def test_without_a_base_model_it_is_said_and_the_rest_is_measured(pico_run, val_file):
    done = overmem.audit(pico_run, val=str(val_file), **QUICK)
    assert "pass --base-model" in done.manifest.base_left_out and done.manifest.base is None
    notes = " ".join(overmem.diagnose(done).notes)
    assert "the base model was not measured" in notes and "pass --base-model" in notes
    shown = CliRunner().invoke(app, ["plan", str(pico_run), "--val", str(val_file), "--axes", "retention"])
    assert shown.exit_code == 0 and "--base-model" in " ".join(shown.output.split())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"base_model": "/nowhere/base"}, RunError, "base model cannot be read[\\s\\S]*--base-model"),
        ({"retention": {"x": "/nowhere.jsonl"}}, DataError, "nowhere.jsonl"),
        ({"retention": {"x": "pretrained:sums[:0]"}}, DataError, "names no examples"),
        ({"retention": {"x": "instructions:other"}}, DataError, "expected: general"),
        ({"retention": {"x": "lm_eval:"}}, DataError, "no task of lm-eval is named"),
    ],
)
def test_bad_input_is_one_message(pico_run, val_file, base, options, error, message):
    with pytest.raises(error, match=message):
        overmem.audit(pico_run, val=str(val_file), **({"base_model": base} | QUICK | options))


def test_a_base_model_that_is_broken_is_named(tmp_path, pico_run, val_file, tokenizer):
    broken = make_pico(tokenizer, seed=1)
    with torch.no_grad():
        broken.model.norm.weight[0] = math.nan
    save_checkpoint(tmp_path / "broken", broken, tokenizer, 0)
    with pytest.raises(overmem.errors.CheckpointError, match="base holds NaN"):
        overmem.audit(pico_run, val=str(val_file), base_model=str(tmp_path / "broken"), **QUICK)


def test_the_plan_counts_what_the_audit_reads_and_writes(pico_run, val_file, base):
    given = {"val": str(val_file), "base_model": base, **QUICK}

    def opened():
        run = overmem.open_run(pico_run)
        return open_session(run, resolve_options(run, AuditOptions(**given)))

    peaks = Peaks(flops=1e12, bandwidth=1e11)
    made = forecast(opened(), {}, peaks)
    before = made.tokens["retention"]
    vocabulary = overmem_model(base).config.vocab_size
    assert made.disk_bytes == 3 * 5 * 32 * vocabulary * 4 == made.to_dict(1)["disk_bytes"]
    done = overmem.audit(pico_run, **given)
    session = opened()
    prompts = {
        name: sum(
            len(session.problems[name].rendered[i].question_ids) for i in session.problems[name].chosen(5, 0)
        )
        for name in SETS
    }
    rows = divergences(done, "checkpoint-10")
    assert before.written > 0 and before.read > 5 * sum(prompts.values())
    # Known once the base model has answered: three checkpoints, what it predicts, and itself.
    for name in ("checkpoint-10", "checkpoint-20", "checkpoint-100", "base"):
        (done.store.root / name / "divergences.parquet").unlink()
    made = forecast(opened(), {}, peaks).tokens["retention"]
    assert made.read == 5 * (sum(prompts.values()) + rows["n_tokens"].sum()) and made.written == 0
    overmem.audit(pico_run, **given)
    left = forecast(opened(), {}, peaks).tokens["retention"]
    assert (left.read, left.written) == (0, 0)
    assert forecast(opened(), {}, peaks).disk_bytes == 0


def test_a_chat_model_is_asked_by_its_chat_template_though_the_task_is_plain(tmp_path, val_file):
    chat = make_tokenizer(template=CHATML, eos=True)
    for name, seed in (("base", 1), ("run/checkpoint-10", 2)):
        model = make_pico(chat, seed=seed, max_position_embeddings=1024)
        save_checkpoint(tmp_path / name, model, chat, 10)
    run = overmem.open_run(tmp_path / "run")
    given = {"val": str(val_file), "base_model": str(tmp_path / "base"), **QUICK}
    session = open_session(run, resolve_options(run, AuditOptions(**given)))
    general = session.problems["retention/general"]
    assert len(general.examples) == 100 and general.grader == "none"
    assert general.rendered[0].prompt_text.startswith("<|im_start|>user\n")
    assert general.rendered[0].prompt_text.endswith("<|im_start|>assistant\n")
    ends = [session.ends.end_of_turn(name) for name in ("retention/general", "val")]
    assert ends == [chat.convert_tokens_to_ids("<|im_end|>"), chat.eos_token_id]
    assert (
        AuditOptions(**given).template.kind == "auto"
        and session.ends.max_new_tokens("retention/general") == 6
    )
    done = overmem.audit(run, **given)
    rows = done.store.read_rows("checkpoint-10", "generations").filter(split="retention/general")
    assert len(rows) == 5 and rows["correct"].null_count() == 5 and set(rows["grader"]) == {"none"}
    found = figures(done, "checkpoint-10")
    assert {"nll_rise_general", "kl_general", "format_loss_general"} <= set(found)
    assert not any(name.startswith("accuracy_loss") for name in found)
