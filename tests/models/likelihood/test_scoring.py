import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from overmem.auditing.jobs import compute_rows as work
from overmem.models import batches
from overmem.models.engines.hf import HfEngine
from overmem.models.likelihood.scoring import TEMPERATURES, score_batch
from overmem.models.loading import choose_device
from overmem.rendering.render import render
from overmem.rendering.template import Template
from tests.conftest import VAL_ROWS, make_pico


@pytest.fixture(scope="module")
def rendered(tokenizer):
    from overmem.records import Example

    return [render(Example(r["id"], r["prompt"], r["completion"]), tokenizer, Template()) for r in VAL_ROWS]


def naive_nll(model, item):
    """One sequence at a time through the model's own loss."""
    ids = torch.tensor([item.input_ids])
    labels = ids.clone()
    labels[:, : len(item.prompt_ids)] = -100
    with torch.inference_mode():
        return model(input_ids=ids, labels=labels).loss.item() * len(item.completion_ids)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_nll_equals_a_naive_loop(tokenizer, rendered, family):
    model = make_pico(tokenizer, seed=1) if family == "llama" else pico_gpt2(tokenizer)
    scores = score_batch(model, rendered)
    for item, score in zip(rendered, scores, strict=True):
        row = score.to_row()
        assert row["n_tokens"] == len(item.completion_ids)
        assert row["nll_nats"] == pytest.approx(naive_nll(model, item), abs=1e-4)


def test_only_scored_tokens_count_and_their_figures_are_those_of_the_whole(tokenizer, rendered):
    """A conversation's other turns stand between: the loss of the model itself with their labels masked."""
    model = make_pico(tokenizer, seed=1)
    masked = [
        replace(item, scored=tuple(at % 3 != 1 for at in range(len(item.completion_ids))))
        for item in rendered
    ]
    for item, whole, score in zip(
        masked, score_batch(model, rendered), score_batch(model, masked), strict=True
    ):
        kept = [at for at, on in enumerate(item.scored_mask) if on]
        assert score.logprob == pytest.approx([whole.logprob[at] for at in kept], abs=1e-5)
        ids = torch.tensor([item.input_ids])
        labels = torch.full_like(ids, -100)
        for at in kept:
            labels[0, len(item.prompt_ids) + at] = ids[0, len(item.prompt_ids) + at]
        with torch.inference_mode():
            loss = model(input_ids=ids, labels=labels).loss.item()
        assert score.to_row()["nll_nats"] == pytest.approx(loss * len(kept), abs=1e-4)


def pico_gpt2(tokenizer):
    """Learned absolute positions: padding on the wrong side would show."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=256)
    ).eval()


def test_token_figures_against_a_direct_loop_over_the_softmax(tokenizer, rendered):
    model = make_pico(tokenizer, seed=2)
    item = rendered[3]
    score = score_batch(model, rendered)[3]
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([item.input_ids])).logits[0].double()
    start = len(item.prompt_ids)
    for t, token in enumerate(item.completion_ids):
        p = torch.softmax(logits[start + t - 1], -1)
        ln_p = [math.log(x) if x > 0 else -1e4 for x in p.tolist()]
        mu = sum(x * y for x, y in zip(p.tolist(), ln_p, strict=True))
        second = sum(x * y * y for x, y in zip(p.tolist(), ln_p, strict=True))
        assert score.logprob[t] == pytest.approx(ln_p[token], abs=1e-4)
        assert score.entropy[t] == pytest.approx(-mu, abs=1e-4)
        assert score.sigma[t] == pytest.approx(math.sqrt(max(0, second - mu * mu)), abs=1e-3)
        assert score.top1_logprob[t] == pytest.approx(max(ln_p), abs=1e-4)
        assert score.is_top1[t] == (int(p.argmax()) == token)
        for g, temperature in enumerate(TEMPERATURES):
            warm = torch.log_softmax(logits[start + t - 1] / temperature, -1)[token].item()
            assert score.logprob_at_temperature[t][g] == pytest.approx(warm, abs=1e-4)


@pytest.mark.gpu
def test_an_accelerator_gives_the_scores_of_the_cpu(tokenizer, rendered):
    model = make_pico(tokenizer, seed=1)
    here = [score.to_row() for score in score_batch(model, rendered)]
    there = [score.to_row() for score in score_batch(model.to(choose_device()), rendered)]
    assert [row["nll_nats"] for row in there] == pytest.approx([row["nll_nats"] for row in here], rel=1e-3)
    assert [row["is_top1"] for row in there] == [row["is_top1"] for row in here]


def test_batch_shape_changes_nothing(tokenizer, rendered):
    model = make_pico(tokenizer, seed=3)
    together = [s.to_row()["nll_nats"] for s in score_batch(model, rendered)]
    alone = [score_batch(model, [item])[0].to_row()["nll_nats"] for item in rendered]
    assert together == pytest.approx(alone, abs=1e-4)


def test_only_completion_positions_go_through_the_head(tokenizer, rendered):
    model = make_pico(tokenizer, seed=4)
    seen = []
    model.lm_head.register_forward_hook(lambda _, args, __: seen.append(args[0].shape[1]))
    item = rendered[0]
    score_batch(model, [item])
    assert seen == [1, len(item.completion_ids)], "the last one alone, then all that are scored"


def test_a_cpu_reads_no_more_at_once_than_its_cache_holds(tokenizer, rendered, monkeypatch):
    model = make_pico(tokenizer, seed=1)
    shapes = []
    model.model.layers[0].register_forward_hook(lambda _, args, out: shapes.append(args[0].shape[:2]))
    problems, tools = SimpleNamespace(rendered=rendered), SimpleNamespace(engine=HfEngine())
    everything = range(len(rendered))
    whole = work.score(model, problems, everything, tools)
    assert [shape[0] for shape in shapes] == [len(rendered)]
    longest = max(map(len, rendered))
    monkeypatch.setitem(batches.CACHED_TOKENS, "cpu", 2 * longest)
    shapes.clear()
    pieces = work.score(model, problems, everything, tools)
    assert len(shapes) > 1 and all(rows * columns <= 2 * longest for rows, columns in shapes)
    for one, other in zip(whole, pieces, strict=True):
        assert one[0]["nll_nats"] == pytest.approx(other[0]["nll_nats"], abs=1e-5)
    # A single problem longer than that is read alone and in pieces, not refused.
    monkeypatch.setitem(batches.CACHED_TOKENS, "cpu", 1)
    shapes.clear()
    work.score(model, problems, everything, tools)
    assert {rows for rows, _ in shapes} == {1} and len(shapes) > len(rendered)
    assert sum(columns for _, columns in shapes) == sum(map(len, rendered))
