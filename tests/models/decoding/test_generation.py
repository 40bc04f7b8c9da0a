"""Answers in batches are those that are written one by one.

Covers: overmem.models.decoding.kv_cache, overmem.models.decoding.rows, overmem.models.decoding.continuous
"""

import pytest
import torch
import transformers

import overmem.models.decoding.continuous
from overmem.models.decoding.generation import generate
from overmem.models.decoding.kv_cache import RowCache, can_batch_continuously
from overmem.models.decoding.sampling import Sampling
from tests.helpers.answering import one_by_one, other_model


def test_batched_answers_equal_generate_one_by_one(model, prompts, tokenizer):
    # A frequent token as a stop makes some answers end early, which padding then must not touch.
    stops = sorted({tokenizer.eos_token_id, one_by_one(model, prompts[0], [tokenizer.eos_token_id], 12)[5]})
    answers = [a for (a,) in generate(model, prompts, tokenizer, stops=stops, max_new_tokens=24)]
    assert len({len(a.tokens) for a in answers}) > 1
    for prompt, answer in zip(prompts, answers, strict=True):
        expected = one_by_one(model, prompt, stops, 24)
        assert answer.text == tokenizer.decode(expected, skip_special_tokens=True)
        assert list(answer.tokens) == expected
        assert answer.finished == (expected[-1] in stops)


def test_mean_logprob_is_that_of_the_tokens_written(model, prompts, tokenizer):
    stops = [tokenizer.eos_token_id]
    answer = generate(model, prompts[:3], tokenizer, stops=stops, max_new_tokens=10)[1][0]
    written = one_by_one(model, prompts[1], stops, 10)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompts[1] + written])).logits[0]
    logprobs = torch.log_softmax(logits, -1)[len(prompts[1]) - 1 : -1]
    expected = logprobs.gather(1, torch.tensor(written)[:, None]).mean().item()
    assert answer.mean_logprob == pytest.approx(expected, abs=1e-4)


def test_samples_do_not_depend_on_the_batch(model, prompts, tokenizer):
    # Random numbers tied to the batch's row, or a cache whose rows are mixed up, would differ.
    ids = [f"p{i}" for i in range(len(prompts))]
    drawn = Sampling(samples=4, temperature=0.8, seed=3)
    limits = {"stops": [tokenizer.eos_token_id], "max_new_tokens": 12}
    together = generate(model, prompts, tokenizer, sampling=drawn, example_ids=ids, **limits)
    for index in (0, 5, 11):
        alone = generate(
            model, [prompts[index]], tokenizer, sampling=drawn, example_ids=[ids[index]], **limits
        )
        assert [a.tokens for a in alone[0]] == [a.tokens for a in together[index]]
    assert len({a.tokens for a in together[0]}) > 1
    more = Sampling(samples=6, temperature=0.8, seed=3)
    again = generate(model, prompts[:1], tokenizer, sampling=more, example_ids=ids[:1], **limits)
    assert [a.tokens for a in again[0][:4]] == [a.tokens for a in together[0]]


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_first_token_follows_the_tempered_distribution(model, prompts, tokenizer, temperature):
    drawn = Sampling(samples=4000, temperature=temperature, seed=0)
    answers = generate(
        model, prompts[:1], tokenizer, stops=[0], max_new_tokens=1, sampling=drawn, example_ids=["a"]
    )
    counts = torch.bincount(torch.tensor([a.tokens[0] for a in answers[0]]), minlength=len(tokenizer))
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor(prompts[:1])).logits[0, -1]
    expected = (logits / temperature).softmax(-1)
    seen = expected * 4000 > 5
    chi2 = ((counts[seen] - 4000 * expected[seen]) ** 2 / (4000 * expected[seen])).sum().item()
    # Mean of a chi-square is its degrees of freedom; six standard deviations above never happens.
    assert chi2 < seen.sum() + 6 * (2 * seen.sum()) ** 0.5
    assert (counts[expected * 4000 < 0.01]).sum() < 20


def test_a_finished_row_leaves_the_batch_and_the_others_go_on(model, prompts, tokenizer, monkeypatch):
    widths = []
    forward = model.forward

    def spy(*args, **kwargs):
        widths.append(len(kwargs["input_ids"]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", spy)
    first = [one_by_one(model, p, [tokenizer.eos_token_id], 4)[1] for p in prompts]
    widths.clear()
    generate(model, prompts, tokenizer, stops=sorted(set(first[:6])), max_new_tokens=8)
    assert widths[-1] < max(widths) == len(prompts)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_rows_that_join_later_answer_as_they_would_alone(model, prompts, tokenizer, monkeypatch, rows):
    # A wrong start, position or mask of a row that takes over another's place would show, and so would
    # a cache that is moved to the front while rows of several ages are in it.
    stops = sorted({tokenizer.eos_token_id, one_by_one(model, prompts[0], [0], 5)[4]})
    monkeypatch.setattr(overmem.models.decoding.continuous, "SLACK", 1.0)
    moved = []
    to_front = RowCache.move_to_front
    monkeypatch.setattr(RowCache, "move_to_front", lambda cache: (moved.append(1), to_front(cache))[1])
    answers = generate(model, prompts * 3, tokenizer, stops=stops, max_new_tokens=24, rows=rows)
    expected = [one_by_one(model, prompt, stops, 24) for prompt in prompts]
    assert moved
    assert len({len(tokens) for tokens in expected}) > 1
    assert [list(answer.tokens) for (answer,) in answers] == expected * 3


def test_samples_that_join_later_are_those_drawn_together(model, prompts, tokenizer):
    ids = [f"p{i}" for i in range(len(prompts))]
    settings = {
        "stops": [tokenizer.eos_token_id, 5, 6, 7],
        "max_new_tokens": 12,
        "sampling": Sampling(samples=3, temperature=0.9, seed=1),
        "example_ids": ids,
    }
    together = generate(model, prompts, tokenizer, **settings)
    # Four rows at once part the three samples of a prompt.
    apart = generate(model, prompts, tokenizer, rows=4, **settings)
    assert [[a.tokens for a in answers] for answers in apart] == [
        [a.tokens for a in answers] for answers in together
    ]
    assert [a.mean_logprob for answers in apart for a in answers] == pytest.approx(
        [a.mean_logprob for answers in together for a in answers], abs=1e-5
    )


@pytest.mark.parametrize("kind", ["sliding window", "window and full", "learned positions", "recurrent"])
def test_other_architectures_answer_as_they_do_one_by_one(kind, prompts, tokenizer):
    model = other_model(kind, tokenizer)
    assert can_batch_continuously(model.config) == (kind != "recurrent")
    stops = sorted({tokenizer.eos_token_id, one_by_one(model, prompts[0], [0], 5)[4]})
    answers = generate(model, prompts, tokenizer, stops=stops, max_new_tokens=12, rows=3)
    for prompt, (answer,) in zip(prompts, answers, strict=True):
        assert list(answer.tokens) == one_by_one(model, prompt, stops, 12)


@pytest.mark.parametrize("kind", ["gpt2", "opt"])
def test_rows_may_use_every_learned_position_and_are_fed_none_beyond(kind, prompts, tokenizer, monkeypatch):
    shape = {"vocab_size": len(tokenizer), "eos_token_id": None, "bos_token_id": None, "pad_token_id": 0}
    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            n_embd=16, n_layer=1, n_head=2, n_positions=40, initializer_range=0.5, **shape
        )
    else:
        config = transformers.OPTConfig(
            hidden_size=16, ffn_dim=32, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=16,
            max_position_embeddings=40, init_std=0.5, **shape,
        )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    text = [token for prompt in prompts for token in prompt]
    longest, others = text[:30], [text[n : n + 20] for n in range(40)]
    alone = [one_by_one(model, prompt, [0], 10) for prompt in (longest, *others)]
    # Three that stop soon give their places to three that do not, beside the longest, which ends the table:
    # done, it is no more than a quarter of all, and goes on being fed.
    stop, soon, late = next(
        (token, soon[:3], late[:3])
        for token in sorted(set().union(*alone) - set(alone[0]))
        if len(soon := [i for i in range(1, 41) if token in alone[i][:3]]) >= 3
        and len(late := [i for i in range(1, 41) if token not in alone[i]]) >= 3
    )
    monkeypatch.setattr(overmem.models.decoding.continuous, "LEAVE_SHARE", 1 / 2)
    asked = [longest, *(others[i - 1] for i in (*soon, *late))]
    answers = generate(model, asked, tokenizer, stops=[stop], max_new_tokens=10, rows=4)
    assert [list(answers[n][0].tokens) for n in (0, 4, 5, 6)] == [alone[i] for i in (0, *late)]
    # Recall asks for more than there is room for, and compares what there was room for.
    longer = generate(model, asked[:1], tokenizer, stops=(), max_new_tokens=32)[0][0].tokens
    assert list(longer[:10]) == alone[0] and len(longer) == 32


def test_a_recurrent_model_samples_too(prompts, tokenizer):
    model = other_model("recurrent", tokenizer)
    settings = {"stops": [tokenizer.eos_token_id], "max_new_tokens": 6}
    drawn = Sampling(samples=3, temperature=1.0, seed=0)
    answers = generate(
        model, prompts[:4], tokenizer, sampling=drawn, example_ids=list("abcd"), rows=6, **settings
    )
    alone = generate(model, prompts[2:3], tokenizer, sampling=drawn, example_ids=["c"], **settings)
    assert [a.tokens for a in answers[2]] == [a.tokens for a in alone[0]]


def test_a_long_prompt_is_read_in_pieces(model, prompts, tokenizer, monkeypatch):
    long = [*prompts[0], *prompts[1], *prompts[2], *prompts[3]][:60]
    stops = [tokenizer.eos_token_id]
    expected = [one_by_one(model, prompt, stops, 6) for prompt in (long, prompts[4])]
    monkeypatch.setitem(overmem.models.batches.CACHED_TOKENS, "cpu", 16)
    seen = []
    hook = model.get_input_embeddings().register_forward_hook(lambda _, args, out: seen.append(args[0].shape))
    answers = generate(model, [long, prompts[4]], tokenizer, stops=stops, max_new_tokens=6, rows=1)
    hook.remove()
    assert [list(a.tokens) for (a,) in answers] == expected
    assert max(columns for _, columns in seen) <= 16
