"""Each model answers in a way that suits it: the answers are those of `generate`, one by one.

Covers: overmem.models.decoding.plain, overmem.models.trials
"""

import logging

import pytest
import torch
import transformers
from benchmarks.pico_models import pico_config, randomize

from overmem.errors import CheckpointError
from overmem.models import trials
from overmem.models.decoding import ways
from overmem.models.decoding.generation import generate
from overmem.models.decoding.plain import write_by_generate
from overmem.models.decoding.rows import Row, Writing
from overmem.models.decoding.sampling import Sampling
from overmem.models.decoding.ways import way_of
from tests.conftest import make_pico
from tests.helpers.answering import one_by_one, other_model

WAYS = {
    "gemma4_text": ("Gemma4ForCausalLM", "continuous"),
    "deepseek_v3": ("DeepseekV3ForCausalLM", "unshared"),
    "diffllama": ("DiffLlamaForCausalLM", "unshared"),
    "mamba": ("MambaForCausalLM", "batched"),
    "mamba2": ("Mamba2ForCausalLM", "batched"),
    "falcon_mamba": ("FalconMambaForCausalLM", "batched"),
    "recurrent_gemma": ("RecurrentGemmaForCausalLM", "one by one"),
    "rwkv": ("RwkvForCausalLM", "one by one"),
}


def build(kind, name, tokenizer):
    torch.manual_seed(0)
    config = pico_config(kind, len(tokenizer), tokenizer.eos_token_id)
    return randomize(getattr(transformers, name)(config)).eval()


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch):
    monkeypatch.setattr(ways, "_found", trials.Trials())


@pytest.mark.parametrize("kind", WAYS)
def test_a_model_that_our_decoding_does_not_suit_is_asked_in_another_way(kind, prompts, tokenizer, caplog):
    name, way = WAYS[kind]
    model = build(kind, name, tokenizer)
    stops = sorted({tokenizer.eos_token_id, one_by_one(model, prompts[0], [0], 5)[4]})
    with caplog.at_level(logging.WARNING):
        answers = generate(model, prompts, tokenizer, stops=stops, max_new_tokens=8, rows=5)
        generate(model, prompts[:2], tokenizer, stops=stops, max_new_tokens=2)
    assert way_of(model, prompts) == way
    said = [record.getMessage() for record in caplog.records if record.name == "overmem.models"]
    assert [message.partition(":")[0] for message in said] == [name] * (way not in ways.OURS)
    for prompt, (answer,) in zip(prompts, answers, strict=True):
        assert list(answer.tokens) == one_by_one(model, prompt, stops, 8)
    drawn = {"sampling": Sampling(samples=2, temperature=1.0, seed=0), "stops": stops, "max_new_tokens": 6}
    together = generate(model, prompts[:3], tokenizer, example_ids=list("abc"), rows=4, **drawn)
    alone = generate(model, prompts[2:3], tokenizer, example_ids=["c"], **drawn)
    assert [a.tokens for a in together[2]] == [a.tokens for a in alone[0]]
    assert together[2][0].mean_logprob == pytest.approx(alone[0][0].mean_logprob, abs=1e-4)


class Foreign(torch.nn.Module):
    """Code of its own as it comes: nothing but ids and a mask go in, all logits come out, no cache."""

    def __init__(self, model):
        super().__init__()
        self.inner, self.config, self.generation_config = model, model.config, model.generation_config

    def forward(self, input_ids, attention_mask=None):
        return self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)


def test_a_model_without_cache_and_without_generate_is_read_again_for_every_token(prompts, tokenizer):
    model = make_pico(tokenizer, seed=3)
    answers = generate(Foreign(model).eval(), prompts[:3], tokenizer, stops=[0], max_new_tokens=6)
    assert way_of(Foreign(model), prompts) == "without cache"
    assert [list(a.tokens) for (a,) in answers] == [one_by_one(model, p, [0], 6) for p in prompts[:3]]


def test_the_models_own_settings_do_not_change_answers(prompts, tokenizer):
    """A penalty in generation_config.json is not what a measurement asks for, in any way of decoding."""
    model = other_model("recurrent", tokenizer)
    expected = [one_by_one(model, prompt, [0], 6) for prompt in prompts[:4]]
    model.generation_config.repetition_penalty = 3.0
    model.generation_config.max_length = 20
    before = model.generation_config.to_dict()
    answers = generate(model, prompts[:4], tokenizer, stops=[0], max_new_tokens=6)
    assert [list(a.tokens) for (a,) in answers] == expected
    assert model.generation_config.to_dict() == before


def test_a_checkpoint_that_says_nothing_decides_for_no_other(prompts, tokenizer):
    """All logits the same: every way agrees, and the next checkpoint is tried again."""
    silent, other = (make_pico(tokenizer, seed=3) for _ in range(2))
    with torch.no_grad():
        silent.model.norm.weight.zero_()
    assert way_of(silent, prompts) == "one by one"
    assert way_of(other, prompts) == "continuous"


@pytest.mark.parametrize("failing", ["write_continuously", "write_by_generate"])
def test_a_full_device_decides_no_way_and_a_misplaced_tensor_is_said(
    failing, prompts, tokenizer, monkeypatch, caplog
):
    model = make_pico(tokenizer, seed=3)

    def raising(error):
        return lambda *_, **__: (_ for _ in ()).throw(error)

    with monkeypatch.context() as patched:
        patched.setattr(ways, failing, raising(RuntimeError("CUDA out of memory. Tried to allocate")))
        with pytest.raises(RuntimeError, match="out of memory"):
            way_of(model, prompts)
    with monkeypatch.context() as patched:
        cause = RuntimeError("Expected all tensors to be on the same device, but found cuda:0 and cpu!")
        error = CheckpointError("the model fails")
        error.__cause__ = cause
        patched.setattr(ways, failing, raising(error))
        taken = "batched" if failing == "write_continuously" else "continuous"
        assert way_of(make_pico(tokenizer, seed=4, num_hidden_layers=1), prompts) == taken
    said = [record.getMessage() for record in caplog.records if "on the devices" in record.getMessage()]
    assert said and "found cuda:0 and cpu" in said[0]
    assert way_of(model, prompts) == "continuous", "nothing was learned of a full device"


def test_generate_that_does_not_fit_is_left_to_whoever_halves_the_batch(prompts, tokenizer, monkeypatch):
    model = make_pico(tokenizer, seed=0)
    writing = Writing(stops=frozenset(), max_new_tokens=2)
    for error, kind in (
        (RuntimeError("CUDA out of memory."), RuntimeError),
        (KeyError("x"), CheckpointError),
    ):
        monkeypatch.setattr(model, "generate", lambda error=error, **_: (_ for _ in ()).throw(error))
        with pytest.raises(kind) as raised:
            write_by_generate(model, prompts, [Row(0)], writing, 1)
        assert (raised.value is error) == (kind is RuntimeError)
