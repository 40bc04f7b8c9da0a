"""The dialects of servers: what is asked, and how answers are read."""

import json
import math

import pytest

from overmem.models.engines.dialect import DIALECTS, CompletionRequest, read_answer, request_body
from overmem.models.engines.transport import Retryable

QUESTION = CompletionRequest(
    ids=(1, 2, 3),
    text="a b c",
    max_new_tokens=9,
    temperature=0.7,
    seed=5,
    stop_ids=(0, 8),
    stop_texts=("</s>", "<|im_end|>"),
)


def completion(text="7", reason="stop", usage=None, logprobs=None):
    choice = {"text": text, "finish_reason": reason, "logprobs": logprobs}
    return {"choices": [choice], "usage": usage}


def test_every_dialect_asks_for_the_whole_distribution_and_our_stops():
    for dialect in DIALECTS:
        body = request_body(dialect, "m", QUESTION)
        assert body["prompt"] == ([1, 2, 3] if dialect.prompts == "token ids" else "a b c")
        assert (body["model"], body["max_tokens"], body["seed"]) == ("m", 9, 5)
        settings = json.loads(body.get("generation_config", "{}")) or body
        assert settings["temperature"] == 0.7 and settings["top_p"] == 1.0
        if dialect.sampling == "extended":
            assert body["stop_token_ids"] == [0, 8] and body["top_k"] == -1 and body["min_p"] == 0.0
            assert body["repetition_penalty"] == 1.0
        if dialect.sampling == "generation_config":
            assert settings["eos_token_id"] == [0, 8] and settings["top_k"] == 0 and settings["do_sample"]
        else:
            assert body["stop"] == ["</s>", "<|im_end|>"]
        if dialect.sampling == "plain":
            # OpenAI's own API refuses any field that it does not know.
            known = {"model", "prompt", "max_tokens", "seed", "temperature", "top_p", "stop", "stream"}
            assert set(body) == known


def test_answers_are_cut_at_the_first_stop_and_say_whether_they_ended():
    used = {"prompt_tokens": 3, "completion_tokens": 4}
    answer = read_answer(completion(" 7", usage=used), QUESTION.stop_texts)
    assert (answer.text, answer.n_tokens, answer.finished, answer.prompt_tokens) == (" 7", 4, True, 3)
    assert math.isnan(answer.mean_logprob)
    assert not read_answer(completion(reason="length"), QUESTION.stop_texts).finished
    cut = read_answer(completion("7<|im_end|>\n</s>", reason="length"), QUESTION.stop_texts)
    assert cut.text == "7" and cut.finished and cut.n_tokens == -1 and cut.prompt_tokens is None


@pytest.mark.parametrize(
    ("logprobs", "mean"),
    [
        ({"token_logprobs": [-1.0, -3.0]}, -2.0),
        ({"content": [{"logprob": -1.0}, {"logprob": -2.0}]}, -1.5),
        ({"token_logprobs": [-1.0, None]}, None),
        ({"token_logprobs": []}, None),
        ({"content": [{}]}, None),
        ([], None),
    ],
)
def test_log_probabilities_in_the_ways_that_servers_give_them(logprobs, mean):
    found = read_answer(completion(logprobs=logprobs), ()).mean_logprob
    assert math.isnan(found) if mean is None else found == pytest.approx(mean)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"choices": []},
        {"choices": "no"},
        {"choices": [{"message": {"content": "chat"}}]},
        completion(text=None),
        completion(reason="abort"),
        completion(reason=None),
    ],
)
def test_what_is_no_answer_is_asked_for_again(broken):
    with pytest.raises(Retryable):
        read_answer(broken, ())
