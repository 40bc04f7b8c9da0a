"""A kill loses a minute of long answers: from the kept tokens on, plain `generate` would write the same."""

import math
from dataclasses import replace

import pytest
import torch

from overmem.models.decoding import unfinished
from overmem.models.decoding.generation import generate
from overmem.models.decoding.sampling import Sampling
from overmem.models.decoding.unfinished import UnfinishedAnswers
from tests.conftest import make_pico
from tests.helpers.answering import one_by_one
from tests.models.decoding.test_ways import Foreign, build


class Killed(BaseException):
    """What no code of ours catches."""


def killed_after(model, tokens):
    """The hook that ends the process once a model has been asked for so many tokens."""
    asked = []

    def count(*_):
        asked.append(1)
        if len(asked) > tokens:
            raise Killed

    return model.register_forward_pre_hook(count)


@pytest.fixture
def at_once(monkeypatch):
    """Kept after every token."""
    monkeypatch.setattr(unfinished, "SAVE_SECONDS", 0.0)


@pytest.mark.parametrize("kind", ["continuous", "batched", "without cache"])
def test_a_killed_answer_goes_on_where_it_was(kind, prompts, tokenizer, tmp_path, at_once):
    model = make_pico(tokenizer, seed=3)
    if kind == "batched":
        model = build("mamba", "MambaForCausalLM", tokenizer)
    asked = Foreign(model).eval() if kind == "without cache" else model
    stops = sorted({tokenizer.eos_token_id, one_by_one(model, prompts[0], [0], 12)[5]})
    expected = [one_by_one(model, prompt, stops, 12) for prompt in prompts[:4]]
    settings = {"stops": stops, "max_new_tokens": 12}
    whole = generate(asked, prompts[:4], tokenizer, **settings)
    kept = tmp_path / "new" / "answers.unfinished"
    hook = killed_after(asked, 16 if kind == "without cache" else 9)
    with pytest.raises(Killed):
        generate(asked, prompts[:4], tokenizer, unfinished=UnfinishedAnswers(kept), **settings)
    hook.remove()
    assert [file.name for file in kept.parent.iterdir()] == [kept.name]
    forwards = []
    asked.register_forward_pre_hook(lambda *_: forwards.append(1))
    again = generate(asked, prompts[:4], tokenizer, unfinished=UnfinishedAnswers(kept), **settings)
    fewer = len(forwards)
    assert [list(a.tokens) for (a,) in again] == expected
    for (one,), (other,) in zip(again, whole, strict=True):
        assert replace(one, mean_logprob=0.0) == replace(other, mean_logprob=0.0)
        assert math.isclose(one.mean_logprob, other.mean_logprob, abs_tol=1e-5)
    generate(asked, prompts[:4], tokenizer, **settings)
    assert fewer < len(forwards) - fewer, "what was kept is not written again"


def test_samples_go_on_with_their_own_random_numbers(prompts, tokenizer, tmp_path, at_once):
    model = make_pico(tokenizer, seed=3)
    settings = {
        "stops": [tokenizer.eos_token_id],
        "max_new_tokens": 12,
        "sampling": Sampling(samples=3, temperature=1.0),
        "example_ids": list("abcd"),
        "rows": 5,
    }
    whole = generate(model, prompts[:4], tokenizer, **settings)
    hook = killed_after(model, 9)
    with pytest.raises(Killed):
        generate(model, prompts[:4], tokenizer, unfinished=UnfinishedAnswers(tmp_path / "kept"), **settings)
    hook.remove()
    again = generate(
        model, prompts[:4], tokenizer, unfinished=UnfinishedAnswers(tmp_path / "kept"), **settings
    )
    assert [[a.tokens for a in of] for of in again] == [[a.tokens for a in of] for of in whole]


@pytest.mark.parametrize("content", [b"", b"\x00" * 40, None])
def test_what_is_damaged_or_of_another_batch_is_written_anew(content, prompts, tokenizer, tmp_path, at_once):
    model, kept = make_pico(tokenizer, seed=3), UnfinishedAnswers(tmp_path / "kept")
    settings = {"stops": [tokenizer.eos_token_id], "max_new_tokens": 5}
    expected = [one_by_one(model, prompt, settings["stops"], 5) for prompt in prompts[:3]]
    generate(model, prompts[:2], tokenizer, unfinished=kept, **settings)
    if content is not None:
        kept.path.write_bytes(content)
    answers = generate(model, prompts[:3], tokenizer, unfinished=kept, **settings)
    assert [list(a.tokens) for (a,) in answers] == expected
    kept.remove()
    assert not kept.path.exists()


def test_short_answers_touch_no_disk(prompts, tokenizer, tmp_path):
    model = make_pico(tokenizer, seed=3)
    kept = UnfinishedAnswers(tmp_path / "kept")
    generate(model, prompts[:2], tokenizer, stops=[0], max_new_tokens=5, unfinished=kept)
    assert not list(tmp_path.iterdir()) and torch.is_inference_mode_enabled() is False
