import pytest
import torch

from overmem.auditing.generate import Sampling, generate, stop_ids
from tests.conftest import VAL_ROWS, make_pico


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_pico(tokenizer, seed=5)


@pytest.fixture(scope="module")
def prompts(tokenizer):
    return [tokenizer(row["prompt"])["input_ids"] for row in VAL_ROWS]


def one_by_one(model, prompt, stops, limit):
    with torch.inference_mode():
        return model.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=stops,
            pad_token_id=stops[0],
        )[0, len(prompt) :].tolist()


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


def test_stops_gather_every_end(model, tokenizer):
    model.generation_config.eos_token_id = [3, 4]
    try:
        assert stop_ids(model, tokenizer, 9) == sorted({3, 4, 9, tokenizer.eos_token_id})
    finally:
        model.generation_config.eos_token_id = tokenizer.eos_token_id


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
    assert widths[-1] < widths[0] == len(prompts)
