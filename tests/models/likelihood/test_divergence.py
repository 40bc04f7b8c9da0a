"""KL between a base model and what became of it: by hand, against torch, and for adapters as for weights."""

import math

import pytest
import torch
from peft import LoraConfig, get_peft_model

from overmem.models.likelihood.divergence import (
    COMPARED_TOKENS,
    BasePredictions,
    Prediction,
    kl_nats,
    predict,
)
from overmem.rendering.rendered import Rendered
from tests.conftest import VAL_ROWS, make_pico


def logits(*rows):
    """Of distributions: any constant may be added."""
    return torch.tensor([[math.log(p) if p else -math.inf for p in row] for row in rows]) + 3.0


@pytest.fixture
def answers(tokenizer):
    return [
        Rendered(
            example_id=row["id"],
            prompt_ids=tuple(tokenizer(row["prompt"])["input_ids"]),
            completion_ids=tuple(tokenizer(row["completion"])["input_ids"]),
            prompt_text=row["prompt"],
            completion_text=row["completion"],
        )
        for row in VAL_ROWS
    ]


def test_by_hand_on_three_tokens():
    base, other = logits((0.5, 0.25, 0.25), (1.0, 0.0, 0.0)), logits((0.25, 0.25, 0.5), (0.25, 0.5, 0.25))
    by_hand = [0.5 * math.log(2) + 0.25 * math.log(0.5), math.log(4)]
    assert kl_nats(base, other).tolist() == pytest.approx(by_hand, abs=1e-6)


def test_it_is_torchs_and_never_below_zero():
    torch.manual_seed(0)
    base, other = 4 * torch.randn(50, 30), 4 * torch.randn(50, 30)
    theirs = torch.nn.functional.kl_div(
        other.log_softmax(-1), base.log_softmax(-1), log_target=True, reduction="none"
    )
    assert torch.allclose(kl_nats(base, other), theirs.sum(-1), atol=1e-5)
    assert (kl_nats(base, other) > 0).all() and (kl_nats(base, base) == 0).all()
    assert not torch.allclose(kl_nats(base, other), kl_nats(other, base), atol=0.1)


def test_what_is_ruled_out_is_infinite_and_what_the_base_never_says_is_free():
    assert kl_nats(logits((0.5, 0.5)), logits((1.0, 0.0))).item() == math.inf
    assert kl_nats(logits((1.0, 0.0)), logits((0.5, 0.5))).item() == pytest.approx(math.log(2))


def test_vocabularies_of_two_sizes():
    """A token that was added takes from what the base says; one that was cut off is not compared."""
    grown = kl_nats(logits((0.5, 0.5)), logits((0.25, 0.25, 0.5)))
    assert grown.item() == pytest.approx(math.log(2))
    assert kl_nats(logits((0.4, 0.4, 0.2)), logits((0.5, 0.5))).item() == pytest.approx(0.0, abs=1e-6)


def test_predictions_are_those_of_one_answer_at_a_time(tokenizer, answers):
    model = make_pico(tokenizer, seed=1)
    for item, seen in zip(answers, predict(model, answers), strict=True):
        ids, start = torch.tensor([[*item.prompt_ids, *item.completion_ids]]), len(item.prompt_ids)
        with torch.inference_mode():
            alone = model(input_ids=ids).logits[0, start - 1 : -1]
        kept = min(COMPARED_TOKENS, len(item.completion_ids))
        assert seen.logits_K_V.shape[0] == kept and seen.n_tokens == len(item.completion_ids)
        assert torch.allclose(seen.logits_K_V, alone[:kept], atol=1e-4)
        own = torch.nn.functional.cross_entropy(alone, ids[0, start:], reduction="sum").item()
        assert seen.nll_nats == pytest.approx(own, abs=1e-3)


def test_a_model_is_at_no_distance_from_itself(tokenizer, answers):
    model = make_pico(tokenizer, seed=1)
    for one, again in zip(predict(model, answers), predict(model, answers), strict=True):
        assert (kl_nats(one.logits_K_V, again.logits_K_V) == 0).all() and one.nll_nats == again.nll_nats


def test_an_adapter_is_as_far_as_its_merged_model(tokenizer, answers):
    torch.manual_seed(3)
    config = LoraConfig(r=2, lora_alpha=8, init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = get_peft_model(make_pico(tokenizer, seed=1), config).eval()
    with adapted.disable_adapter():
        base = predict(adapted, answers)
    whole = predict(make_pico(tokenizer, seed=1), answers)
    by_adapter = predict(adapted, answers)
    by_weights = predict(adapted.merge_and_unload().eval(), answers)
    for off, first, on, merged in zip(base, whole, by_adapter, by_weights, strict=True):
        assert torch.equal(off.logits_K_V, first.logits_K_V)
        far = kl_nats(first.logits_K_V, on.logits_K_V)
        assert far.mean() > 0.01
        assert torch.allclose(far, kl_nats(first.logits_K_V, merged.logits_K_V), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_is_lost_on_disk(tmp_path, dtype):
    kept = BasePredictions(tmp_path / "new")
    said = Prediction(torch.randn(5, 7).to(dtype), 1 / 3, 9)
    assert not kept.has("a")
    kept.write("a", said)
    found = kept.read("a")
    assert (
        kept.has("a") and not kept.has("b") and list(kept.folder.iterdir()) == [kept.folder / "a.safetensors"]
    )
    assert torch.equal(found.logits_K_V, said.logits_K_V) and found.logits_K_V.dtype == dtype
    assert (found.nll_nats, found.n_tokens) == (1 / 3, 9)
