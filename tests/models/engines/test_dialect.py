"""The pure parts of engines: names, requests, answers, seeds and waits."""

import json
import math
from email.utils import formatdate

import pytest

from overmem.errors import EngineError
from overmem.models.engines.address import parse_engine
from overmem.models.engines.dialect import DIALECTS, Question, read_answer, request_body
from overmem.models.engines.openai import prompt_text
from overmem.models.engines.transport import RetryPolicy, Server, Unusable, _retry_after
from overmem.models.sampling import seed_of

QUESTION = Question(
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


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("openai:http://localhost:8000", "http://localhost:8000/v1"),
        ("openai:http://localhost:8000/", "http://localhost:8000/v1"),
        ("openai:http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("openai:https://gateway/team/openai/v1", "https://gateway/team/openai/v1"),
        ("openai:http://[::1]:8000", "http://[::1]:8000/v1"),
        ("openai-text:http://h:1", "http://h:1/v1"),
    ],
)
def test_addresses(name, url):
    address = parse_engine(name)
    assert address.url == url
    assert address.text_only == name.startswith("openai-text")
    assert parse_engine("hf") is None


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
    with pytest.raises(Unusable):
        read_answer(broken, ())


def test_a_key_may_end_in_a_line_break_and_is_never_shown(monkeypatch):
    for name in ("OVERMEM_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    address = parse_engine("openai:http://localhost:1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hush\n")
    server = Server(address, RetryPolicy(timeout_seconds=1))
    assert server.public("it was sk-hush here") == "it was *** here"
    monkeypatch.setenv("OVERMEM_API_KEY", "sk-\nhush")
    with pytest.raises(EngineError, match="cannot be sent") as refused:
        Server(address, RetryPolicy(timeout_seconds=1))
    assert "hush" not in str(refused.value)


def test_seeds_differ_between_samples_examples_and_audits_and_stay():
    seeds = {seed_of(s, name, k) for s in (0, 1) for name in ("a", "b") for k in range(50)}
    assert len(seeds) == 200 and all(0 <= seed < 2**31 for seed in seeds)
    assert seed_of(0, "a", 0) == seed_of(0, "a", 0)


def test_waits_grow_and_are_spread_and_bounded():
    retry_policy = RetryPolicy(timeout_seconds=1.0)
    for attempt in range(1, 30):
        most = min(0.5 * 2 ** (attempt - 1), 300)
        waits = [retry_policy.wait_seconds(attempt) for _ in range(20)]
        assert all(most / 2 <= wait <= most for wait in waits) and len(set(waits)) > 1


def test_retry_after_in_seconds_or_as_a_date():
    assert _retry_after({"retry-after": "7"}) == 7.0
    assert _retry_after({"Retry-After": formatdate(usegmt=True)}) == pytest.approx(0, abs=2.5)
    assert _retry_after({"Retry-After": "soon"}) is None and _retry_after({}) is None


class Characters:
    """A tokenizer of characters that puts a BOS (0) before every text, and reads `^` as one."""

    def decode(self, ids, **_):
        return "".join("^" if i == 0 else chr(i) for i in ids)

    def __call__(self, text):
        return {"input_ids": [0] + [0 if char == "^" else ord(char) for char in text]}


def test_a_prompt_becomes_a_text_that_gives_the_same_tokens():
    assert prompt_text(Characters(), [0, 97, 98]) == "ab"
    # Without a BOS in front there is no such text: the server would add one.
    with pytest.raises(EngineError, match="cannot be sent as text"):
        prompt_text(Characters(), [97, 98])
