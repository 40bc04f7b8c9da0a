import pytest
import torch

from overmem.auditing.generate import generate_greedy, stop_ids
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
    answers = generate_greedy(model, prompts, tokenizer, stops=stops, max_new_tokens=24)
    assert len({a.n_tokens for a in answers}) > 1
    for prompt, answer in zip(prompts, answers, strict=True):
        expected = one_by_one(model, prompt, stops, 24)
        assert answer.text == tokenizer.decode(expected, skip_special_tokens=True)
        assert answer.n_tokens == len(expected)
        assert answer.finished == (expected[-1] in stops)


def test_mean_logprob_is_that_of_the_tokens_written(model, prompts, tokenizer):
    stops = [tokenizer.eos_token_id]
    answer = generate_greedy(model, prompts[:3], tokenizer, stops=stops, max_new_tokens=10)[1]
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
