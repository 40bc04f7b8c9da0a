"""What a server says: how answers are read, and what is refused whole."""

import math

import pytest

from overmem.models.engines import answers
from overmem.models.engines.answers import read_answer, read_models
from overmem.models.engines.dialect import CompletionRequest
from overmem.models.engines.transport import Invalid, Retryable

REQUEST = CompletionRequest(
    ids=(1, 2, 3),
    text="a b c",
    max_new_tokens=9,
    temperature=0.0,
    seed=None,
    stop_ids=(0, 8),
    stop_texts=("</s>", "<|im_end|>"),
)


def completion(text="7", reason="stop", usage=None, logprobs=None, **more):
    choice = {"text": text, "finish_reason": reason, "logprobs": logprobs, **more}
    return {"choices": [choice], "usage": usage}


def read(answer, model="m"):
    return read_answer(answer, model, REQUEST)


def test_answers_are_cut_at_the_first_stop_and_say_whether_they_ended():
    used = {"prompt_tokens": 3, "completion_tokens": 4}
    answer = read(completion(" 7", usage=used))
    assert (answer.text, answer.n_tokens, answer.finished, answer.prompt_tokens) == (" 7", 4, True, 3)
    assert math.isnan(answer.mean_logprob)
    assert not read(completion(reason="length")).finished
    cut = read(completion("7<|im_end|>\n</s>", reason="length"))
    assert cut.text == "7" and cut.finished and cut.n_tokens == -1 and cut.prompt_tokens is None


@pytest.mark.parametrize(
    ("logprobs", "mean"),
    [
        ({"token_logprobs": [-1.0, -3.0]}, -2.0),
        ({"content": [{"logprob": -1.0}, {"logprob": -2.0}]}, -1.5),
        ({"token_logprobs": [-1.0, 1e-7]}, -0.5),
        ({"token_logprobs": [-1.0, None]}, None),
        ({"token_logprobs": [-1.0, -3.4e38]}, None),
        ({"token_logprobs": [-1.0, -(10**400)]}, None),
        ({"token_logprobs": []}, None),
        ({"content": [{}]}, None),
        ([], None),
    ],
)
def test_log_probabilities_in_the_ways_that_servers_give_them(logprobs, mean):
    found = read(completion(logprobs=logprobs)).mean_logprob
    assert math.isnan(found) if mean is None else found == pytest.approx(mean)


@pytest.mark.parametrize("broken", [completion(reason="abort"), completion(reason=None)])
def test_an_answer_that_was_broken_off_is_asked_for_again(broken):
    with pytest.raises(Retryable, match="broken off") as failure:
        read(broken)
    assert not isinstance(failure.value, Invalid)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "no list of choices"),
        ({"choices": "no"}, "no list of choices"),
        ({"choices": []}, "0 choices"),
        ({"choices": completion()["choices"] * 2}, "2 choices"),
        ({"choices": [7]}, "choice is no object"),
        ({"choices": [{"message": {"content": "chat"}, "finish_reason": "stop"}]}, "no text"),
        (completion(text=None), "no text"),
        (completion(text="\ud800"), "half a character"),
        (completion(text="x" * 20_000), "20,000 characters"),
        (completion(index=1), "index 1"),
        (completion(index=-1), "index -1"),
        (completion(index=True), "index True"),
        (completion(reason="because"), "unknown finish_reason, 'because'"),
        (completion(reason={"type": "stop"}), "unknown finish_reason"),
        (completion(usage={"completion_tokens": -1}), "completion_tokens -1"),
        (completion(usage={"completion_tokens": 10**400}), "completion_tokens 1000"),
        (completion(usage={"completion_tokens": 2.5}), "completion_tokens 2.5"),
        (completion(usage={"completion_tokens": 11}), "11 tokens, with max_tokens 9"),
        (completion(usage={"prompt_tokens": "3"}), "prompt_tokens '3'"),
        (completion(logprobs={"token_logprobs": [-1.0, 0.5]}), "above 0"),
        (completion(logprobs={"token_logprobs": [math.inf]}), "above 0"),
        (completion(logprobs={"token_logprobs": [10**400]}), "above 0"),
        (completion(logprobs={"token_logprobs": ["-1"]}), "no number"),
        (completion() | {"model": "another"}, "another model, 'another', where m"),
        (completion() | {"model": ["m"]}, "another model"),
    ],
)
def test_what_is_wrong_in_its_form_is_refused_whole(wrong, said):
    with pytest.raises(Invalid, match=said):
        read(wrong)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("checkpoint-10", None),
        ("checkpoint-10", "checkpoint-10"),
        ("/runs/a/checkpoint-10", "/runs/a/checkpoint-10@main"),
        ("/runs/a/checkpoint-10", "checkpoint-10"),
        ("checkpoint-10", "/runs/a/checkpoint-10"),
    ],
)
def test_a_model_may_be_named_in_another_way(asked, told):
    assert read(completion() | {"model": told}, model=asked).text == "7"


@pytest.mark.parametrize("told", ["checkpoint-100", "checkpoint-1", "a/checkpoint-20"])
def test_a_model_of_a_similar_name_is_another(told):
    with pytest.raises(Invalid, match="another model"):
        read(completion() | {"model": told}, model="checkpoint-10")


def test_names_that_could_be_no_checkpoint_are_left_out(monkeypatch):
    names = ["good", "", "nul\0", "\ud800", "x" * 5000, 7, None]
    records = [{"id": name} for name in names] + ["text", {}]
    assert read_models({"data": records}) == ["good"]
    assert read_models({}) == read_models({"data": "no"}) == []
    monkeypatch.setattr(answers, "MOST_MODELS", 3)
    with pytest.raises(Invalid, match="4 models"):
        read_models({"data": [{"id": "x"}] * 4})
